#!/bin/sh
# A loader for batches, which are complete files already: passes the state on to Meltano.
exec sed -n 's/^{"type":"STATE","value":\(.*\)}$/\1/p'
