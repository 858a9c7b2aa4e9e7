"""Backups of the stack: Postgres with its WAL, the files beside it, and the way back.

Everything is in one folder, a volume of its own:

    base/<id>/            one base backup: backup.json, postgres/ (tar files of pg_basebackup),
                          files/<volume>.tar.gz, objects.json
    objects/<name>        objects of the object store, each once, whichever backups list them
    wal/<line>/           the write-ahead log since the oldest of them, as pg_receivewal writes it
    line                  the line that is being written: a restore begins a new one, and keeps the
                          log of what it has replaced
    status.json           what was done last and how it ended

Ids are the UTC time at which a backup began: `20261127T013000Z`. Times are aware datetimes in UTC.
"""
