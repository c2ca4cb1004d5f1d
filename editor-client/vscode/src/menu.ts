/** What the status bar item opens: the menu, the list of models, the self-test. */
import { commands, env, type LogOutputChannel, type QuickPickItem, window, workspace } from "vscode";
import type { Server } from "./server";
import { change, SECTION } from "./settings";

/** A row of `nurse-lsp models --json`. */
interface Model {
  name: string;
  base: string;
  licence: string;
  checkpoint: string | null;
  make: string;
}

/** @param notePaused whether ghost text is paused for the note in front. */
export async function showMenu(server: Server, notePaused: boolean): Promise<void> {
  const everywhere = workspace.getConfiguration(SECTION).get("ghost", true);
  const found = server.command.length > 0;
  const items: (QuickPickItem & { command: string })[] = [
    ...(found ? [{ label: "$(symbol-misc) Switch model…", command: "nurse.switchModel" }] : []),
    { label: notePaused ? "$(debug-start) Resume for this note" : "$(debug-pause) Pause for this note", command: "nurse.pauseNote" },
    { label: everywhere ? "$(debug-pause) Pause everywhere" : "$(debug-start) Resume everywhere", command: "nurse.pause" },
    { label: found ? "$(debug-restart) Restart the server" : "$(search) Look for the server again", command: "nurse.restart" },
    { label: "$(output) Show the log", command: "nurse.showLog" },
    ...(found ? [{ label: "$(pulse) Check the installation (doctor)", command: "nurse.doctor" }] : []),
    { label: "$(arrow-right) Go to the next blank", command: "nurse.nextBlank" },
    { label: "$(list-tree) Insert a template…", command: "nurse.insertTemplate" },
  ];
  const chosen = await window.showQuickPick(items, { title: "Nurse" });
  if (chosen !== undefined) await commands.executeCommand(chosen.command);
}

/** Lists the models, those that are here first, and takes the one that is chosen. */
export async function switchModel(server: Server): Promise<void> {
  const { models } = JSON.parse(await server.run("models", "--json")) as { models: Model[] };
  const current = workspace.getConfiguration(SECTION).get<string>("model");
  const rows = models
    .sort((one, other) => Number(other.checkpoint !== null) - Number(one.checkpoint !== null))
    .map((model) => ({
      label: `${model.checkpoint === null ? "$(circle-slash)" : "$(check)"} ${model.name}`,
      description: model.name === current ? "in use" : model.licence,
      detail: model.checkpoint ?? `Not on this machine. To make it: ${model.make}`,
      model,
    }));
  const folder = { label: "$(folder) A folder…", description: "a checkpoint elsewhere", model: undefined };
  const chosen = await window.showQuickPick([...rows, folder], { title: "Nurse: switch model", matchOnDescription: true });
  if (chosen === undefined) return;
  if (chosen.model === undefined) {
    const [picked] = (await window.showOpenDialog({ canSelectFiles: false, canSelectFolders: true, openLabel: "Use This Checkpoint" })) ?? [];
    if (picked !== undefined) await change("model", picked.fsPath);
  } else if (chosen.model.checkpoint !== null) {
    await change("model", chosen.model.name);
  } else {
    const copy = await window.showInformationMessage(`${chosen.model.name} is not on this machine. To make it: ${chosen.model.make}`, "Copy Command");
    if (copy !== undefined) await env.clipboard.writeText(chosen.model.make);
  }
}

/** Runs the server's self-test and shows what it printed. */
export async function runDoctor(server: Server, log: LogOutputChannel): Promise<void> {
  const model = workspace.getConfiguration(SECTION).get("model", "");
  log.show();
  try {
    log.info(await server.run("doctor", ...(model ? ["--model", model] : [])));
  } catch (error) {
    const { stdout, message } = error as { stdout?: string; message: string };
    log.error(stdout || message);
  }
}
