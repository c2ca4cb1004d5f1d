/** Where the server is: the setting, then the Python environment, then PATH. */
import { access, constants } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join, sep } from "node:path";
import { extensions, type Uri, workspace } from "vscode";
import { SECTION } from "./settings";

const WINDOWS = process.platform === "win32";
const PROGRAM = WINDOWS ? "nurse-lsp.exe" : "nurse-lsp";

/** What we use of the Python extension's interface. */
interface PythonExtension {
  environments: {
    getActiveEnvironmentPath(resource?: Uri): { path: string };
    resolveEnvironment(environment: { path: string }): Promise<{ executable: { uri?: Uri } } | undefined>;
  };
}

/**
 * The words that start the server, without `--stdio`.
 *
 * @returns what was found, or why nothing was, for the user to read.
 */
export async function findServer(): Promise<{ command: string[] } | { missing: string }> {
  const [program, ...rest] = workspace.getConfiguration(SECTION).get<string[]>("server.command", []);
  if (program !== undefined) {
    const named = program.startsWith("~" + sep) ? join(homedir(), program.slice(2)) : program;
    const found = named.includes(sep) ? await first([named]) : await first(onPath(named));
    return found === undefined
      ? { missing: `The setting nurse.server.command names '${program}', and no such program is here.` }
      : { command: [found, ...rest] };
  }
  const found = await first([...(await inPythonEnvironment()), ...onPath(PROGRAM)]);
  return found === undefined
    ? { missing: "The server nurse-lsp was found neither in the Python environment nor on PATH." }
    : { command: [found] };
}

/** Where pip puts the program in the environment that is chosen in the Python extension, in the folder's `.venv`, in the active one. */
async function inPythonEnvironment(): Promise<string[]> {
  const scripts = WINDOWS ? "Scripts" : "bin";
  const folder = workspace.workspaceFolders?.[0]?.uri;
  const places: string[] = [];
  const interpreter = workspace.isTrusted ? await chosenInterpreter(folder).catch(() => undefined) : undefined;
  if (interpreter !== undefined) places.push(dirname(interpreter.fsPath));
  if (workspace.isTrusted && folder?.scheme === "file") places.push(join(folder.fsPath, ".venv", scripts));
  for (const variable of ["VIRTUAL_ENV", "CONDA_PREFIX"]) {
    const environment = process.env[variable];
    if (environment) places.push(join(environment, scripts));
  }
  return places.map((place) => join(place, PROGRAM));
}

/** The interpreter that is chosen in the Python extension; rejects where that extension is broken. */
async function chosenInterpreter(folder: Uri | undefined): Promise<Uri | undefined> {
  const { environments } = (await extensions.getExtension<PythonExtension>("ms-python.python")?.activate()) ?? {};
  const chosen = await environments?.resolveEnvironment(environments.getActiveEnvironmentPath(folder));
  return chosen?.executable.uri;
}

function onPath(program: string): string[] {
  // A relative entry would be looked for in whatever folder is open.
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter(isAbsolute);
  return folders.map((folder) => join(folder, program));
}

async function first(programs: string[]): Promise<string | undefined> {
  for (const program of programs) {
    const runs = await access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return program;
  }
  return undefined;
}
