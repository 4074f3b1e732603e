# Completion of encke(8) for bash.
_encke() {
    local word=${COMP_WORDS[COMP_CWORD]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'check token place places --help --version' -- "$word")
    elif [ "${COMP_WORDS[1]}" = token ]; then
        mapfile -t COMPREPLY < <(compgen -W '--user --channel --for' -- "$word")
    elif [ "${COMP_WORDS[1]}" = places ] && [ "$COMP_CWORD" -eq 2 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'haproxy-home haproxy-deputy nginx-home nginx-deputy json' -- "$word")
    fi
}
complete -F _encke encke
