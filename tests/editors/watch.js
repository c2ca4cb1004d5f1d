// Run in VS Code's page: writes down each key and, frame by frame, what the note in front shows.
() => {
  const GHOST = "[class*=ghost-text]";
  const frames = [];
  const keys = [];
  const now = () => {
    const lines = [...document.querySelectorAll(".editor-instance .view-lines .view-line")]
      .map((line) => ({ top: parseFloat(line.style.top), line }))
      .sort((one, other) => one.top - other.top);
    const ghost = lines.map(({ line }) => [...line.querySelectorAll(GHOST)].map((part) => part.textContent).join("")).join("");
    const text = lines
      .map(({ line }) => {
        const copy = line.cloneNode(true);
        copy.querySelectorAll(GHOST).forEach((part) => part.remove());
        return copy.textContent;
      })
      .join("\n");
    return { text, ghost };
  };
  const look = (at) => {
    const { text, ghost } = now();
    const last = frames.at(-1);
    if (last === undefined || last.text !== text || last.ghost !== ghost) frames.push({ at, text, ghost });
    requestAnimationFrame(look);
  };
  addEventListener(
    "keydown",
    (event) => {
      const writes = event.key.length === 1 || event.key === "Enter";
      if (writes && !event.ctrlKey && !event.altKey) keys.push(performance.now());
    },
    true,
  );
  window.nurseWatch = {
    now,
    take: () => frames.splice(0, frames.length - 1).concat(frames.slice(-1)),
    takeKeys: () => keys.splice(0),
  };
  requestAnimationFrame(look);
}
