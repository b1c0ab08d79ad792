const lines = require("node:readline").createInterface({ input: process.stdin });

lines.on("line", (line) => {
  const record = JSON.parse(line);
  try {
    const order = JSON.parse(record.value);
    console.error(record.key, order.n); // logs go to stderr
    console.log(JSON.stringify({ ok: true, offset: record.offset }));
  } catch (e) {
    console.log(JSON.stringify({ error: String(e), offset: record.offset }));
  }
});
