import json, sys

for line in sys.stdin:
    record = json.loads(line)
    try:
        order = json.loads(record["value"])
        print(record["key"], order["n"], file=sys.stderr)  # logs go to stderr
        answer = {"ok": True}
    except Exception as e:
        answer = {"error": repr(e)}
    print(json.dumps({**answer, "offset": record["offset"]}), flush=True)
