"""Completion scripts, made from what the programs take. Pure: a grammar in, a script's text out.

In every shell the same happens: the options that take a value tell the words of the line that are values from those
that are not; the first of these is the verb, the others are counted. Names are asked of the program itself, with the
-c and --vault of the line, and are never expanded by the shell: they come from a file that others may have written.
"""

from __future__ import annotations

import shlex

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = (
    str | list[str]
)  # names (of watchers), tasks, task, agents, files, folders, anything, or the words to choose from
Option = tuple[list[str], Kind | None, str]  # flags, the kind of the value if it takes one, help
Verb = tuple[str, str, list[Option], list[Kind]]  # verb, help, options, what stands at each place after it
Grammar = tuple[str, list[Verb]]  # the program's name, its verbs

_EARLY: list[Option] = [  # what may stand before a verb
    (["-h", "--help"], None, "show the verbs"),
    (["--version"], None, "show the version"),
    (["-c"], "files", "the configuration"),
    (["--vault"], "folders", "the vault"),
]

_ASKED = {
    "names": "_names",
    "tasks": "_tasks",
    "task": "_tasks",
    "agents": "_agents",
}  # the hidden verbs that print them


def _with_value(verbs: list[Verb]) -> list[str]:
    """Every flag that takes a value; one that does so for one verb does so for all of its program's."""
    return sorted({flag for option in _all_options(verbs) if option[1] is not None for flag in option[0]})


def _all_options(verbs: list[Verb]) -> list[Option]:
    """Each once, also when several verbs have it."""
    found = {option[0][-1]: option for options in (_EARLY, *(verb[2] for verb in verbs)) for option in options}
    return list(found.values())


def _value_kinds(verbs: list[Verb]) -> dict[str, Kind]:
    return {
        flag: kind
        for flags, kind, _ in _all_options(verbs)
        if kind is not None and kind != "anything"
        for flag in flags
    }


def _cases(verb: str, positions: list[Kind]) -> Iterator[tuple[str, Kind]]:
    """Each place after a verb that can be completed: a pattern for VERB:PLACE, and what stands there."""
    for place, kind in enumerate(positions):
        if kind != "anything":
            yield f"{verb}:*" if _repeats(kind) else f"{verb}:{place}", kind


def _repeats(kind: Kind) -> bool:
    return kind in ("names", "tasks")


def bash(grammars: list[Grammar]) -> str:
    """For bash 3.2 and later, without the bash-completion package."""
    parts = ["# bash completion for " + " and ".join(name for name, _ in grammars), _BASH_COMMON]
    for name, verbs in grammars:
        values = "|".join(_with_value(verbs))
        parts.append(f"_{name}() {{\n    _aiemp_line {shlex.quote(values)}")
        parts.append("    case $_aiemp_prev in")
        for flag, kind in _value_kinds(verbs).items():
            parts.append(f"        {flag}) {_bash(kind)}; return ;;")
        parts.append(f"        {values}) return ;;\n    esac\n    case $_aiemp_verb:$_aiemp_cur in")
        parts.append(f"        :-*) {_bash(_flags(_EARLY))}; return ;;")
        parts.append(f"        :*) {_bash([verb for verb, *_ in verbs])}; return ;;")
        for verb, _, options, _ in verbs:
            parts.append(f"        {verb}:-*) {_bash(_flags(options))}; return ;;")
        parts.append("    esac\n    case $_aiemp_verb:$_aiemp_place in")
        for verb, _, _, positions in verbs:
            parts += [f"        {case}) {_bash(kind)} ;;" for case, kind in _cases(verb, positions)]
        parts.append(f"    esac\n}}\ncomplete -F _{name} {name}")
    return "\n".join(parts) + "\n"


def _flags(options: list[Option]) -> list[str]:
    return [flag for flags, _, _ in options for flag in flags]


def _bash(kind: Kind) -> str:
    if isinstance(kind, list):
        return "_aiemp_words " + " ".join(map(shlex.quote, kind))
    return {"files": "_aiemp_paths -f", "folders": "_aiemp_paths -d"}.get(kind) or f"_aiemp_names {_ASKED[kind]}"


_BASH_COMMON = r"""
# Reads the line: the word to complete, the option before it, the verb, how many words follow that, and the options
# for the hidden verbs that print names.
_aiemp_line() {
    local i word
    COMPREPLY=() _aiemp_cur=${COMP_WORDS[COMP_CWORD]} _aiemp_prev= _aiemp_verb= _aiemp_place=-1 _aiemp_which=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word =~ ^($1)$ ]]; then
            if ((i + 1 == COMP_CWORD)); then
                _aiemp_prev=$word
            else
                [[ $word == -c || $word == --vault ]] && _aiemp_which+=("$word" "${COMP_WORDS[i + 1]}")
                i=$((i + 1))
            fi
        elif [[ $word != -* ]]; then
            [[ $_aiemp_verb ]] || _aiemp_verb=$word
            _aiemp_place=$((_aiemp_place + 1))
        fi
    done
}

_aiemp_words() {
    local word
    for word; do
        [[ $word == "$_aiemp_cur"* ]] && COMPREPLY+=("$word")
    done
}

_aiemp_names() {
    local name
    while IFS= read -r name; do
        [[ $name == "$_aiemp_cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
    done < <("${COMP_WORDS[0]}" "${_aiemp_which[@]}" "$1" 2>/dev/null)
}

_aiemp_paths() {
    local path
    while IFS= read -r path; do
        COMPREPLY+=("$path")
    done < <(compgen "$1" -- "$_aiemp_cur")
    compopt -o filenames 2>/dev/null
}
"""


def zsh(grammars: list[Grammar]) -> str:
    """To be sourced after compinit, or saved as _aiemp in $fpath."""
    programs = " ".join(name for name, _ in grammars)
    parts = [f"#compdef {programs}", _ZSH_COMMON]
    for name, verbs in grammars:
        values = "|".join(_with_value(verbs))
        parts.append(f"_aiemp_of_{name}() {{\n    _aiemp_line {shlex.quote(values)}")
        parts.append("    case $prev in")
        for flag, kind in _value_kinds(verbs).items():
            parts.append(f"        {flag}) {_zsh(kind)}; return ;;")
        parts.append(f"        {values}) return ;;\n    esac\n    case $verb:$cur in")
        parts.append(f"        :-*) {_zsh_options(_EARLY)}; return ;;")
        described = " ".join(shlex.quote(f"{verb}:{text}") for verb, text, *_ in verbs)
        parts.append(f"        :*) found=({described}); _describe verb found; return ;;")
        for verb, _, options, _ in verbs:
            parts.append(f"        {verb}:-*) {_zsh_options(options)}; return ;;")
        parts.append("    esac\n    case $verb:$place in")
        for verb, _, _, positions in verbs:
            parts += [f"        {case}) {_zsh(kind)} ;;" for case, kind in _cases(verb, positions)]
        parts.append("    esac\n}\n")
    parts.append(_ZSH_END.replace("PROGRAMS", programs))
    return "\n".join(parts)


def _zsh_options(options: list[Option]) -> str:
    described = " ".join(shlex.quote(f"{flag}:{text}") for flags, _, text in options for flag in flags)
    return f"found=({described}); _describe -o option found"


def _zsh(kind: Kind) -> str:
    if isinstance(kind, list):
        return "compadd -- " + " ".join(map(shlex.quote, kind))
    return {"files": "_files", "folders": "_files -/"}.get(kind) or f"_aiemp_names {_ASKED[kind]}"


_ZSH_COMMON = r"""
# Reads the line: the word to complete, the option before it, the verb, how many words follow that, and the options
# for the hidden verbs that print names.
_aiemp_line() {
    local i
    cur=$PREFIX prev= verb= place=-1 which=()
    for ((i = 2; i < CURRENT; i++)); do
        if [[ $words[i] =~ "^($1)$" ]]; then
            if ((i + 1 == CURRENT)); then
                prev=$words[i]
            else
                [[ $words[i] == (-c|--vault) ]] && which+=($words[i] ${(Q)words[i+1]})
                ((i++))
            fi
        elif [[ $words[i] != -* ]]; then
            [[ -n $verb ]] || verb=$words[i]
            ((place++))
        fi
    done
}

_aiemp_names() {
    local -a names
    names=(${(f)"$(${(Q)words[1]} $which $1 2>/dev/null)"})
    compadd -a names
}
"""

_ZSH_END = r"""_aiemp() {
    local cur prev verb place
    local -a which found
    _aiemp_of_$service
}

if [[ $funcstack[1] == _aiemp ]]; then
    _aiemp "$@"
else
    compdef _aiemp PROGRAMS
fi
"""


def fish(grammars: list[Grammar]) -> str:
    """For fish 3.1 and later."""
    parts = ["# fish completion for " + " and ".join(name for name, _ in grammars), _FISH_COMMON]
    for name, verbs in grammars:
        values = " ".join(_with_value(verbs))
        at = f"__{name}_at"
        parts.append(f"function {at}\n    __aiemp_stands_at {_fish_quote(values)} $argv\nend")
        parts.append(f"complete -c {name} -f")
        parts += [_fish_option(name, f"{at} ''", option) for option in _EARLY]
        for verb, text, options, positions in verbs:
            no_verb_yet = _fish_quote(f"{at} ''")
            parts.append(f"complete -c {name} -n {no_verb_yet} -a {verb} -d {_fish_quote(text)}")
            parts += [_fish_option(name, f"{at} {verb}", option) for option in options]
            for place, kind in enumerate(positions):
                if kind != "anything":
                    often = "repeats" if _repeats(kind) else "once"
                    condition = _fish_quote(f"{at} {verb} {place} {often}")
                    parts.append(f"complete -c {name} -n {condition} {_fish(kind)}")
    return "\n".join(parts) + "\n"


def _fish_option(name: str, condition: str, option: Option) -> str:
    flags, kind, text = option
    named = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in flags)
    value = "" if kind is None else " -x" if kind == "anything" else " -r " + _fish(kind)
    return f"complete -c {name} -n {_fish_quote(condition)} {named}{value} -d {_fish_quote(text)}"


def _fish(kind: Kind) -> str:
    if isinstance(kind, list):
        return "-a " + _fish_quote(" ".join(kind))
    paths = {"files": "-F", "folders": "-a '(__fish_complete_directories)'"}
    return paths.get(kind) or f"-a '(__aiemp_names {_ASKED[kind]})'"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_FISH_COMMON = r"""
# Whether the verb before the cursor is $argv[2] and, if there is $argv[3], as many words follow it, or at least
# as many when $argv[4] says that they repeat. $argv[1] lists the options that take a value.
function __aiemp_stands_at
    set -l taking (string split ' ' -- $argv[1])
    set -l positions
    set -l value no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
        else if contains -- $word $taking
            set value yes
        else if not string match -q -- '-*' $word
            set -a positions $word
        end
    end
    test "$positions[1]" = "$argv[2]"; or return 1
    test (count $argv) -ge 3; or return 0
    set -l follow (math (count $positions) - 1)
    test $follow -eq $argv[3]; or test $follow -gt $argv[3] -a "$argv[4]" = repeats
end

# The watchers' or tasks' names: $argv[1] is the verb that prints them, asked with the -c and --vault of the line.
function __aiemp_names
    set -l words (commandline -opc)
    set -l which
    for i in (seq 2 (math (count $words) - 1))
        if contains -- $words[$i] -c --vault
            set -a which $words[$i] $words[(math $i + 1)]
        end
    end
    $words[1] $which $argv[1] 2>/dev/null
end
"""
