/** What the keys do in a note, beside what VS Code does itself. */
import { commands, Range, Selection, type TextEditor, window } from "vscode";
import type { Server } from "./server";

/** An element of the server's `nurse.listBlanks`. */
interface Blank {
  range: { start: { line: number; character: number }; end: { line: number; character: number } };
}

/** Takes the next word of the ghost. VS Code alone takes the space before it as a word of its own. */
export async function acceptWord(editor: TextEditor): Promise<void> {
  const before = editor.selection.active;
  await commands.executeCommand("editor.action.inlineSuggest.acceptNextWord");
  const taken = editor.document.getText(new Range(before, editor.selection.active));
  if (taken.trim() === "") await commands.executeCommand("editor.action.inlineSuggest.acceptNextWord");
}

/** Selects the blank after the cursor, or the first of all behind the last, so that typing fills it. */
export async function nextBlank(server: Server, editor: TextEditor): Promise<void> {
  const blanks = await server.execute<Blank[]>("nurse.listBlanks", { uri: editor.document.uri.toString() });
  const ranges = (blanks ?? []).map(({ range: { start, end } }) => new Range(start.line, start.character, end.line, end.character));
  const next = ranges.find((range) => range.start.isAfterOrEqual(editor.selection.end)) ?? ranges[0];
  if (next === undefined) {
    window.setStatusBarMessage(blanks === undefined ? "The server nurse-lsp is not running." : "No blank is left in this note.", 3000);
    return;
  }
  editor.selection = new Selection(next.start, next.end);
  editor.revealRange(next);
}

/** Opens the server's templates, which it offers on an empty line; below the line that the cursor is on where that is not empty. */
export async function insertTemplate(editor: TextEditor): Promise<void> {
  if (!editor.document.lineAt(editor.selection.active).isEmptyOrWhitespace) {
    await commands.executeCommand("editor.action.insertLineAfter");
  }
  await commands.executeCommand("editor.action.codeAction", { kind: "refactor", apply: "never" });
}
