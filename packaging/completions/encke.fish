# Completion of encke(8) for fish.
complete -c encke -f
complete -c encke -n __fish_use_subcommand -a check -d 'print the configuration, or all of its problems'
complete -c encke -n __fish_use_subcommand -a token -d 'print a token for development'
complete -c encke -n __fish_use_subcommand -a place -d 'print the place of a user'
complete -c encke -n __fish_use_subcommand -a places -d 'print the table of places'
complete -c encke -n '__fish_seen_subcommand_from places' -a 'haproxy-home haproxy-deputy nginx-home nginx-deputy json'
complete -c encke -n __fish_use_subcommand -s h -l help -d 'print all variables'
complete -c encke -n __fish_use_subcommand -s V -l version -d 'print the version'
complete -c encke -n '__fish_seen_subcommand_from token' -l user -x -d 'the user'
complete -c encke -n '__fish_seen_subcommand_from token' -l channel -x -d 'PATTERN=r, w or rw'
complete -c encke -n '__fish_seen_subcommand_from token' -l for -x -d 'how long it is valid, as in 1h'
