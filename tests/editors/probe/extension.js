// Measures how late the event loop of the extension host is, between two commands, and writes that to the file in NURSE_PROBE.
const { writeFileSync } = require("node:fs");
const { monitorEventLoopDelay } = require("node:perf_hooks");
const { commands } = require("vscode");

const RESOLUTION_MS = 2;
// The histogram counts how long a timer of RESOLUTION_MS took; what is above that is the delay.
const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);

exports.activate = (context) => {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  context.subscriptions.push(
    commands.registerCommand("probe.start", () => {
      histogram.reset();
      histogram.enable();
      writeFileSync(process.env.NURSE_PROBE, "");
    }),
    commands.registerCommand("probe.stop", () => {
      histogram.disable();
      const figures = { p50_ms: late(histogram.percentile(50)), p99_ms: late(histogram.percentile(99)), max_ms: late(histogram.max) };
      writeFileSync(process.env.NURSE_PROBE, JSON.stringify(figures));
    }),
  );
};
