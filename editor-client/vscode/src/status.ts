/** The status bar item: what the server last said of itself. */
import { basename } from "node:path";
import { type Disposable, StatusBarAlignment, type StatusBarItem, ThemeColor, window, workspace } from "vscode";
import { SECTION } from "./settings";

/** A `nurse/status` of the server, or what the client knows when there is no server. */
export interface Status {
  state: "loading" | "ready" | "busy" | "error" | "stopped" | "missing";
  model: string;
  message: string;
  heldBack: Record<string, number>;
}

const ICONS: Record<Status["state"], string> = {
  loading: "$(sync~spin)",
  ready: "$(edit)",
  busy: "$(ellipsis)",
  error: "$(error)",
  stopped: "$(debug-disconnect)",
  missing: "$(error)",
};
const WORDS = {
  loading: "is being loaded",
  ready: "is ready",
  busy: "is thinking",
  error: "could not be loaded",
};

export class StatusBar implements Disposable {
  private readonly item: StatusBarItem;
  private status: Status = { state: "loading", model: "", message: "", heldBack: {} };

  /** @param notePaused whether ghost text is paused for the note in front. */
  constructor(private readonly notePaused: () => boolean) {
    this.item = window.createStatusBarItem("nurse.status", StatusBarAlignment.Right, 100);
    this.item.name = "Nurse";
    this.item.command = "nurse.menu";
  }

  get state(): Status["state"] {
    return this.status.state;
  }

  show(status: Partial<Status> & Pick<Status, "state">): void {
    this.status = { ...this.status, message: "", ...status };
    this.draw();
  }

  /** Draws the item for the note in front; where there is none, nothing is shown. */
  draw(): void {
    if (window.activeTextEditor?.document.languageId !== "note") {
      this.item.hide();
      return;
    }
    const { state, message, heldBack } = this.status;
    const model = this.status.model || workspace.getConfiguration(SECTION).get("model", "");
    const paused = state === "ready" && (this.notePaused() || !workspace.getConfiguration(SECTION).get("ghost", true));
    const endpoint = workspace.getConfiguration(SECTION).get("endpoint", "none");
    const elsewhere = endpoint !== "none";
    const icon = paused ? "$(debug-pause)" : elsewhere && state === "ready" ? "$(cloud)" : ICONS[state];
    const held = Object.entries(heldBack).map(([rule, count]) => `${rule} ${count}`);
    this.item.text = `${icon} nurse: ${state === "missing" ? "no server" : basename(model)}`;
    this.item.tooltip = [
      ...(state === "stopped" || state === "missing" ? [] : [`${model} ${paused ? "is paused" : WORDS[state]}.`]),
      ...(elsewhere ? [`The note before the cursor is sent to ${endpoint}.`] : []),
      ...(message ? [message] : []),
      ...(held.length > 0 ? [`Held back by the guard: ${held.join(", ")}`] : []),
    ].join("\n");
    this.item.accessibilityInformation = { label: `Nurse: ${this.item.tooltip}`, role: "button" };
    this.item.backgroundColor =
      state === "error" || state === "missing"
        ? new ThemeColor("statusBarItem.errorBackground")
        : state === "stopped"
          ? new ThemeColor("statusBarItem.warningBackground")
          : undefined;
    this.item.show();
  }

  dispose(): void {
    this.item.dispose();
  }
}
