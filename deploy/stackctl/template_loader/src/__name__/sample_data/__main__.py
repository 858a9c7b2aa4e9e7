from __name__.sample_data import main

main()
