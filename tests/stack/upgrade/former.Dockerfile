# An image of ours with the former release of Dagster in place of the pinned one. The rest, and so
# the image's layers, are the same.
ARG IMAGE
# hadolint ignore=DL3006
FROM ${IMAGE}
ARG PIP_INDEX_URL
ARG PINNED
ARG FORMER
USER 0
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=netrc,target=/root/.netrc \
    pip="/usr/local/bin/python -m pip --python /app/.venv/bin/python --disable-pip-version-check" \
 && packages="$($pip freeze | sed -n "s/^\(dagster.*\)==\([0-9.]*\)\.${PINNED}$/\1==\2.${FORMER}/p")" \
 && $pip install --quiet --no-deps $packages \
 # A release of its own: its runs must not find the pinned one's image.
 && if [ -e .release ]; then printf 'f0%.10s' "$(cat .release)" >release && cp release .release; fi
USER 10001:10001
