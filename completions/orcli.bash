# Completion of orcli for bash 4 and later, with or without bash-completion.
# Written by `python -m orcli.reference` from the command tree; it starts no Python.

# Set what a command takes: `arguments`, `flags`, and `values`, each an option@kind or option@choice|choice.
_orcli_takes() {
    case $1 in
    ask)
        arguments=files
        flags='--json -v --verbose -q --quiet --dry-run -x --extract -n --no-stdin -h --help'
        values='--timeout@text --retries@text --env-file@files -m@models --model@models -s@text --system@text --system-file@files -p@text --param@text --max-tokens@text --temperature@text --schema@files --log@files --messages@files -c@files --conversation@files'
        ;;
    stream)
        arguments=files
        flags='--json -v --verbose -q --quiet --dry-run -x --extract -n --no-stdin -h --help'
        values='--timeout@text --retries@text --env-file@files -m@models --model@models -s@text --system@text --system-file@files -p@text --param@text --max-tokens@text --temperature@text --schema@files --log@files --messages@files -c@files --conversation@files --idle-timeout@text'
        ;;
    tool)
        arguments=files
        flags='--json -v --verbose -q --quiet --dry-run -x --extract -n --no-stdin --stream --no-parallel --strict --confirm -h --help'
        values='--timeout@text --retries@text --env-file@files -m@models --model@models -s@text --system@text --system-file@files -p@text --param@text --max-tokens@text --temperature@text --schema@files --log@files --messages@files -c@files --conversation@files --idle-timeout@text --tools@files --exec@=commands --result@text --result-file@=files --tool-choice@auto|none|required --max-rounds@text --max-cost@text --tool-timeout@text'
        ;;
    vision)
        arguments=media
        flags='--json -v --verbose -q --quiet --dry-run -x --extract -n --no-stdin --stream --short -h --help'
        values='--timeout@text --retries@text --env-file@files -m@models --model@models -s@text --system@text --system-file@files -p@text --param@text --max-tokens@text --temperature@text --schema@files --log@files --messages@files -c@files --conversation@files --idle-timeout@text --detail@low|high|auto --save@directories'
        ;;
    batch)
        arguments=files
        flags='--json -v --verbose -q --quiet --dry-run --unordered -h --help'
        values='--timeout@text --retries@text --env-file@files -m@models --model@models -s@text --system@text --system-file@files -p@text --param@text --max-tokens@text --temperature@text --schema@files --log@files --lines@text -o@files --output@files -j@text --jobs@text --max-cost@text --request-timeout@text'
        ;;
    models)
        arguments=text
        flags='--json -v --verbose -q --quiet --free -h --help'
        values='--timeout@text --retries@text --env-file@files --supports@text --input@text|image|file|audio|video --sort@id|price|context|created'
        ;;
    *)
        arguments='ask|stream|tool|vision|batch|models'
        flags='--version -h --help'
        values=''
        ;;
    esac
}

# Set `kind` to what an option takes, the last of short ones that stand together; fail where it takes nothing.
_orcli_kind() {
    local word=$1 i
    kind=
    if [[ $word == -[!-]* ]]; then
        for ((i = 1; i < ${#1}; i++)); do
            if [[ " $values" == *" -${1:i:1}@"* ]]; then
                ((i == ${#1} - 1)) || return 1
                word=-${1:i:1}
            fi
        done
    fi
    [[ " $values" == *" $word@"* ]] || return 1
    kind=" $values"
    kind=${kind#*" $word@"}
    kind=${kind%% *}
}

# Reply with the directories and the files that `vision` takes, told by their names.
_orcli_media() {
    local path name=${cur//\\/} home=
    compopt -o filenames
    if [[ ! $quote && $name == "~/"* ]]; then
        home=$HOME
        name=$home${name#"~"}
    fi
    while IFS= read -r path; do
        if [[ ! -d $path ]]; then
            case ${path##*.} in
            [pP][nN][gG] | [jJ][pP][gG] | [jJ][pP][eE][gG] | [wW][eE][bB][pP] | [gG][iI][fF] | [pP][dD][fF] | [wW][aA][vV] | [mM][pP]3 | [fF][lL][aA][cC] | [oO][gG][gG] | [mM]4[aA]) ;;
            *) continue ;;
            esac
        fi
        [[ $home ]] && path="~${path#"$home"}"
        COMPREPLY+=("${path#"$left"}")
    done <<<"$(compgen -f -- "$name")"
}

_orcli() {
    local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} begun word cur command='' arguments flags values
    local kind='' prefix='' quote='' left='' ended='' i
    local -a words=() replies=()
    COMPREPLY=()
    # Words come broken at = and :, which --option=value and model ids hold; join again what no blank parts.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        begun=${line#"${line%%[![:blank:]]*}"}
        word=${COMP_WORDS[i]}
        ((${#begun} < ${#word})) && word=$begun
        if ((i)) && [[ $begun == "$line" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        line=${begun#"$word"}
    done
    cur=${words[${#words[@]} - 1]}
    ((${#words[@]} > 2)) && command=${words[1]}
    _orcli_takes "$command"

    for ((i = 2; i < ${#words[@]} - 1; i++)); do
        if [[ $kind ]]; then
            kind=
        elif [[ ${words[i]} == -- ]]; then
            ended=1
            break
        else
            _orcli_kind "${words[i]}"
        fi
    done
    if [[ ! $kind && ! $ended && $cur == -* ]]; then
        if [[ $cur == --*=* ]]; then
            _orcli_kind "${cur%%=*}" || return 0
            prefix=${cur%%=*}=
        elif [[ $cur == -[!-]?* ]] && _orcli_kind "${cur:0:2}"; then
            prefix=${cur:0:2}
        else
            kind=-
        fi
        cur=${cur#"$prefix"}
    fi
    kind=${kind:-$arguments}
    case $cur in
    [\"\']*)
        quote=${cur:0:1}
        cur=${cur:1}
        ;;
    esac
    if [[ $kind == =* ]]; then
        [[ $cur == *=* ]] || return 0
        kind=${kind#=}
        prefix+=${cur%%=*}=
        cur=${cur#*=}
    fi
    # A reply stands in place of what follows the last break alone.
    if [[ ! $quote ]]; then
        for word in = :; do
            [[ $COMP_WORDBREAKS == *"$word"* ]] || continue
            begun=$prefix$cur
            begun=${begun%"${begun##*"$word"}"}
            ((${#begun} > ${#left})) && left=$begun
        done
    fi

    case $kind in
    text) return 0 ;;
    files) compopt -o default ;;
    directories) compopt -o dirnames ;;
    media) _orcli_media ;;
    commands)
        compopt -o default
        while IFS= read -r word; do replies+=("$word"); done <<<"$(compgen -c -- "$cur")"
        ;;
    models)
        word=${XDG_CACHE_HOME:-$HOME/.cache}/orcli/models
        [[ -r $word ]] && mapfile -t replies <"$word"
        replies+=(local/smollm2)
        ;;
    -)
        replies=($flags)
        for word in $values; do replies+=("${word%%@*}"); done
        ;;
    *)
        IFS='|'
        replies=($kind)
        ;;
    esac
    for word in "${replies[@]}"; do
        [[ $word == "$cur"* ]] || continue
        # What is no plain id would be more than a word on the command line.
        [[ $kind == models && $word == *[!A-Za-z0-9/._:~@+-]* ]] && continue
        word=$prefix$word
        COMPREPLY+=("${word#"$left"}")
    done
}

complete -F _orcli orcli
