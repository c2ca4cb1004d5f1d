/** The server process: started, restarted after a crash, stopped; and what is asked of it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import {
  commands,
  type Disposable,
  type InlineCompletionItem,
  InlineCompletionTriggerKind,
  type LogOutputChannel,
  type TextDocument,
  window,
} from "vscode";
import {
  CloseAction,
  type CloseHandlerResult,
  type ErrorHandler,
  type ErrorHandlerResult,
  ErrorAction,
  LanguageClient,
  type Message,
  State,
} from "vscode-languageclient/node";
import { findServer } from "./find";
import { serverSettings } from "./settings";
import type { Status, StatusBar } from "./status";

const CRASHES = 5;
const CRASHES_WITHIN_MS = 180_000;
const BROKEN_MESSAGES = 3;

/** Logs what goes wrong. What people have to know of it, `Server` says, once and in plain words. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export class Server implements Disposable, ErrorHandler {
  private client: LanguageClient | undefined;
  private crashes: number[] = [];
  /** Whether the process that is, or was last, has answered `initialize`. */
  private ran = false;
  private turn: Promise<void> = Promise.resolve();
  /** The note that was typed into last while no model was there. */
  private begun: TextDocument | undefined;
  /** Whether what VS Code takes for a request of the user's is ours. */
  private unbidden = false;
  /** The words that start the server, without `--stdio`; empty where none was found. */
  command: string[] = [];

  /**
   * @param settingNames the settings that the server takes.
   * @param paused whether a note gets no ghost text.
   */
  constructor(
    private readonly settingNames: string[],
    private readonly status: StatusBar,
    private readonly log: LogOutputChannel,
    private readonly paused: (note: TextDocument) => boolean,
  ) {}

  /** Looks for the server and starts it; says what is missing where there is none. */
  private async start(): Promise<void> {
    const found = await findServer();
    if ("missing" in found) {
      this.command = [];
      this.status.show({ state: "missing", message: found.missing });
      this.log.warn(found.missing);
      void this.offerHelp(found.missing);
      return;
    }
    this.command = found.command;
    this.log.info(`Starting ${found.command.join(" ")}`);
    this.status.show({ state: "loading" });
    const [program = "", ...rest] = found.command;
    this.client = new QuietClient(
      "nurse",
      "nurse-lsp",
      { command: program, args: [...rest, "--stdio"] },
      {
        documentSelector: [{ language: "note" }],
        outputChannel: this.log,
        initializationOptions: () => serverSettings(this.settingNames),
        errorHandler: this,
        initializationFailedHandler: () => false,
        middleware: {
          provideInlineCompletionItems: (note, position, context, token, next) => {
            if (this.paused(note)) return [] as InlineCompletionItem[];
            const asked = this.unbidden ? { ...context, triggerKind: InlineCompletionTriggerKind.Automatic } : context;
            return next(note, position, asked, token);
          },
          // They tell the server what was taken or confirmed; one that is lost with a crash is nothing to interrupt anybody for.
          executeCommand: async (name, words, next) => {
            try {
              return await next(name, words);
            } catch (error) {
              this.log.warn(`${name}: ${error instanceof Error ? error.message : String(error)}`);
            }
          },
        },
      },
    );
    this.client.onDidChangeState(({ newState }) => {
      if (newState !== State.Stopped) this.ran = newState === State.Running;
    });
    this.client.onNotification("nurse/status", (status: Status) => this.heard(status));
    try {
      await this.client.start();
      await commands.executeCommand("setContext", "nurse.running", true);
    } catch (error) {
      this.log.error(`Not started: ${error instanceof Error ? error.message : String(error)}`);
      if (this.status.state !== "stopped") this.notStarted();
    }
  }

  /** Remembers the note that was typed into, where the server could not answer. */
  typed(note: TextDocument): void {
    if (note.languageId === "note" && this.status.state !== "ready") this.begun = note;
  }

  /** Shows what the server says of itself; a note that was begun while the model was loading gets its ghost without another key. */
  private async heard(status: Status): Promise<void> {
    const loaded = this.status.state === "loading" && status.state === "ready";
    this.status.show(status);
    if (!loaded) return;
    const inFront = this.begun !== undefined && this.begun === window.activeTextEditor?.document;
    this.begun = undefined;
    if (!inFront) return;
    this.unbidden = true; // VS Code knows no other way to be told to ask again
    try {
      await commands.executeCommand("editor.action.inlineSuggest.trigger");
    } finally {
      this.unbidden = false;
    }
  }

  /** Ends the process, if there is one. */
  async stop(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await client?.dispose().catch((error: unknown) => this.log.info(`While stopping: ${String(error)}`));
  }

  /** Stops it and starts it anew; one after the other where it is asked for again meanwhile. */
  restart(): Promise<void> {
    this.turn = this.turn.then(async () => {
      this.crashes = [];
      await this.stop();
      await this.start();
    });
    return this.turn;
  }

  /** Sends the settings as they are now. */
  async configure(): Promise<void> {
    if (this.client?.isRunning()) {
      await this.client.sendNotification("workspace/didChangeConfiguration", { settings: serverSettings(this.settingNames) });
    }
  }

  /** Runs a command of the server; undefined where it does not run. */
  async execute<Result>(command: string, argument: object): Promise<Result | undefined> {
    if (!this.client?.isRunning()) return undefined;
    return this.client.sendRequest<Result>("workspace/executeCommand", { command, arguments: [argument] });
  }

  /** Runs `nurse-lsp` with other arguments; resolves to what it printed, rejects where it could not do what was asked. */
  async run(...words: string[]): Promise<string> {
    const [program, ...rest] = this.command;
    if (program === undefined) throw new Error("The server nurse-lsp was not found.");
    const { stdout } = await promisify(execFile)(program, [...rest, ...words], { env: { ...process.env, NO_COLOR: "1", COLUMNS: "120" } });
    return stdout;
  }

  error(_error: Error, _message: Message | undefined, count: number | undefined): ErrorHandlerResult {
    return { action: count !== undefined && count <= BROKEN_MESSAGES ? ErrorAction.Continue : ErrorAction.Shutdown, handled: true };
  }

  /** The server ended by itself: it comes back, unless that has happened too often of late. */
  closed(): CloseHandlerResult {
    if (!this.ran) return { action: CloseAction.DoNotRestart, message: this.notStarted(), handled: true };
    const now = Date.now();
    this.crashes = [...this.crashes.filter((then) => now - then < CRASHES_WITHIN_MS), now];
    if (this.crashes.length < CRASHES) {
      const message = "The server nurse-lsp ended and was started again. Your notes are untouched.";
      this.status.show({ state: "loading", message });
      void window.showWarningMessage(message, "Show Log").then((chosen) => chosen && this.log.show());
      return { action: CloseAction.Restart, message, handled: true };
    }
    const message = `The server nurse-lsp ended ${CRASHES} times within three minutes and stays off. Your notes are untouched.`;
    this.status.show({ state: "stopped", message });
    void this.offer(message);
    return { action: CloseAction.DoNotRestart, message, handled: true };
  }

  dispose(): void {
    void this.stop();
  }

  private notStarted(): string {
    const message = `The server nurse-lsp could not be started (${this.command.join(" ")}).`;
    this.status.show({ state: "stopped", message });
    void this.offer(message);
    return message;
  }

  private async offer(message: string): Promise<void> {
    const chosen = await window.showErrorMessage(message, "Start Again", "Show Log");
    if (chosen === "Start Again") await this.restart();
    if (chosen === "Show Log") this.log.show();
  }

  private async offerHelp(missing: string): Promise<void> {
    const chosen = await window.showErrorMessage(`${missing} Ghost text needs it.`, "Set Up", "Look Again");
    if (chosen === "Set Up") await commands.executeCommand("workbench.action.openWalkthrough", "nurse-lsp.nurse-lsp#start");
    if (chosen === "Look Again") await this.restart();
  }
}
