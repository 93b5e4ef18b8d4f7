#!/bin/sh
# For cron, which mails what is printed: nothing when all is well.
cd "$(dirname "$0")" || exit
meltano run mixpanel-watched >run.log 2>&1 && exit
tail -n 20 run.log
exit 1
