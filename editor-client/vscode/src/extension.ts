/** Starts the server for notes and wires commands, settings and the status bar to it. What a note is, the server knows. */
import { commands, type Disposable, type ExtensionContext, type TextEditor, window, workspace } from "vscode";
import { runDoctor, showMenu, switchModel } from "./menu";
import { acceptWord, insertTemplate, nextBlank } from "./note";
import { Server } from "./server";
import { change, SECTION, serverSettingNames } from "./settings";
import { StatusBar } from "./status";

let server: Server | undefined;

export async function activate(context: ExtensionContext): Promise<void> {
  const log = window.createOutputChannel("Nurse", { log: true });
  const pausedNotes = new Set<string>();
  const notePaused = (): boolean => pausedNotes.has(window.activeTextEditor?.document.uri.toString() ?? "");
  const status = new StatusBar(notePaused);
  const running = new Server(serverSettingNames(context), status, log, (note) => pausedNotes.has(note.uri.toString()));
  server = running;

  const inNote = (command: string, run: (editor: TextEditor) => Thenable<unknown> | void): Disposable =>
    commands.registerCommand(command, () => {
      const editor = window.activeTextEditor;
      return editor?.document.languageId === "note" ? run(editor) : undefined;
    });
  context.subscriptions.push(
    log,
    status,
    commands.registerCommand("nurse.menu", () => showMenu(running, notePaused())),
    commands.registerCommand("nurse.switchModel", () => switchModel(running)),
    commands.registerCommand("nurse.restart", () => running.restart()),
    commands.registerCommand("nurse.showLog", () => log.show()),
    commands.registerCommand("nurse.doctor", () => runDoctor(running, log)),
    commands.registerCommand("nurse.pause", () => change("ghost", !workspace.getConfiguration(SECTION).get("ghost", true))),
    commands.registerCommand("nurse.newNote", async () =>
      window.showTextDocument(await workspace.openTextDocument({ language: "note", content: "" })),
    ),
    inNote("nurse.acceptWord", acceptWord),
    inNote("nurse.acceptLine", () => commands.executeCommand("editor.action.inlineSuggest.acceptNextLine")),
    inNote("nurse.nextBlank", (editor) => nextBlank(running, editor)),
    inNote("nurse.insertTemplate", insertTemplate),
    inNote("nurse.pauseNote", async (editor) => {
      const uri = editor.document.uri.toString();
      if (!pausedNotes.delete(uri)) {
        pausedNotes.add(uri);
        await commands.executeCommand("editor.action.inlineSuggest.hide");
      }
      status.draw();
    }),
    window.onDidChangeActiveTextEditor(() => status.draw()),
    workspace.onDidChangeTextDocument(({ document, contentChanges }) => contentChanges.length > 0 && running.typed(document)),
    workspace.onDidCloseTextDocument((note) => {
      pausedNotes.delete(note.uri.toString());
      status.draw();
    }),
    workspace.onDidChangeConfiguration(async (event) => {
      if (event.affectsConfiguration(`${SECTION}.server`)) await running.restart();
      else if (event.affectsConfiguration(SECTION)) await running.configure();
      status.draw();
    }),
    workspace.onDidGrantWorkspaceTrust(() => running.restart()),
  );
  await running.restart();
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}
