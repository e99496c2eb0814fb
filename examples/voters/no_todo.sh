#!/bin/sh
# A voter in a shell script: nothing is left to do.
#
#   magi voters add no_todo --kind command --command examples/voters/no_todo.sh
#
# It reads a task as one line of JSON and says its vote as JSON. An exit status other than 0 means that it could not judge,
# for the reason on standard error. A voter that needs more than one field is better off with a JSON parser.
set -eu
LC_ALL=C
export LC_ALL

# In a JSON string a quote is always escaped, so that no text can pretend to be the field. The first one is the answer:
# what the Initiator sent along as metadata comes after it.
answer=$(grep -oE '"agent_answer":"([^"\\]|\\.)*"' | head -n 1)

case $answer in
'')
    echo 'no agent_answer in this task' >&2
    exit 1
    ;;
*TODO*)
    echo '{"vote": "fail", "reason": "The answer still has a TODO in it: finish it.", "confidence": 0.9}'
    ;;
*)
    echo '{"vote": "pass", "reason": "No TODO is left in the answer."}'
    ;;
esac
