# SPDX-License-Identifier: Apache-2.0
# bhctl's completion for zsh: source it after compinit. It has bash ask bhctl.bash, which stands beside it.

typeset -g _bhctl_bash=${${(%):-%x}:A:h}/bhctl.bash

_bhctl() {
	local -a found
	found=("${(@f)$(bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bhctl; printf "%s\n" "${COMPREPLY[@]}"' \
		bash "$_bhctl_bash" "${(@Q)words[1,CURRENT]}")}")
	compadd -f -- "${(@)found:#}"
}

compdef _bhctl bhctl
