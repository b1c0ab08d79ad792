#!/usr/bin/env bash
while IFS= read -r record; do
  echo "$record" >&2 # logs go to stderr; take fields with jq
  if [[ $record == *broken* ]]; then
    echo '{"error":"broken"}'
  else
    echo '{"ok":true}'
  fi
done
