# SPDX-License-Identifier: Apache-2.0
# bhctl's completion for bash: source it.

# _bhctl_ask WORD ...: asks the daemon that the command line names; no answer is no words.
_bhctl_ask() {
	local -a where=()
	if [[ -n $_bhctl_socket ]]; then where+=(--socket "$_bhctl_socket"); fi
	if [[ -n $_bhctl_machine ]]; then where+=(--machine "$_bhctl_machine"); fi
	command "${COMP_WORDS[0]}" "${where[@]}" "$@" 2>/dev/null
}

# _bhctl_options COMMAND ACTION
_bhctl_options() {
	case $1 in
	list) echo --quiet ;;
	create)
		echo --cores --core-count --memory --kernel --initrd --cmdline --device --dma-trusted --hotplug-ports --virtual-interrupts --boot-protocol --console --no-console --restart \
			--restart-limit --autostart --start --manifest
		;;
	stop) echo --grace --no-wait ;;
	device) if [[ $2 == remove ]]; then echo --force --timeout; fi ;;
	console) echo --tail --no-follow --no-input ;;
	logs) echo --follow ;;
	events) echo --since --count ;;
	top) echo --interval --count ;;
	plan) echo --svg ;;
	esac
	echo --socket --machine --json --help
}

# _bhctl_values OPTION: what may follow it; a line FILES for files; status 1 where it takes nothing
_bhctl_values() {
	case $1 in
	--socket | --kernel | --initrd | --manifest | --svg) echo FILES ;;
	--machine) _bhctl_ask --json info | sed -n 's/^    "name": "\(.*\)",$/\1/p' ;;
	--restart) echo never on-failure always ;;
	--boot-protocol) echo linux pvh ;;
	--cores | --core-count | --memory | --cmdline | --device | --hotplug-ports | --restart-limit | --grace | --timeout | --tail | --since | --count | --interval) ;;
	*) return 1 ;;
	esac
}

_bhctl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} values i
	local -a words=()
	local _bhctl_socket="" _bhctl_machine=""
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket) _bhctl_socket=${COMP_WORDS[++i]} ;;
		--machine) _bhctl_machine=${COMP_WORDS[++i]} ;;
		-*) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
	local command=${words[0]-}
	if values=$(_bhctl_values "$before"); then
		if [[ $values == FILES ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
		fi
	elif [[ $word == -* ]]; then
		values=$(_bhctl_options "$command" "${words[1]-}")
	elif [[ -z $command ]]; then
		values="list info create start stop abort reset delete device console logs stats events top plan"
	elif [[ $command =~ ^(info|start|stop|abort|reset|delete|console|stats)$ ]]; then
		values=$(_bhctl_ask list --quiet)
	elif [[ $command == device && ${#words[@]} == 1 ]]; then
		values="add remove list"
	elif [[ $command == device && ${#words[@]} == 2 ]]; then
		values=$(_bhctl_ask list --quiet)
	elif [[ $command == device && ${#words[@]} == 3 && ${words[1]} == remove ]]; then
		values=$(_bhctl_ask --json device list "${words[2]}" | sed -n 's/^    "function": "\(.*\)",$/\1/p')
	else
		values=
	fi
	mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
}

complete -o filenames -F _bhctl bhctl
