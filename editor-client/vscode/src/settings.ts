/** The settings under `nurse`, as the server takes them and as the menu changes them. */
import { ConfigurationTarget, type ExtensionContext, workspace } from "vscode";

export const SECTION = "nurse";

/** The names of the settings that go to the server: all of package.json but those of how it is started. */
export function serverSettingNames(context: ExtensionContext): string[] {
  const { properties } = context.extension.packageJSON.contributes.configuration as { properties: Record<string, unknown> };
  return Object.keys(properties)
    .map((key) => key.slice(SECTION.length + 1))
    .filter((name) => !name.includes("."));
}

/** Their values now. */
export function serverSettings(names: string[]): Record<string, unknown> {
  const configuration = workspace.getConfiguration(SECTION);
  return Object.fromEntries(names.map((name) => [name, configuration.get(name)]));
}

/** Changes a setting where it holds: in the folder or workspace that sets it, else for the user. */
export async function change(name: string, value: unknown): Promise<void> {
  const configuration = workspace.getConfiguration(SECTION);
  const places = configuration.inspect(name);
  const target =
    places?.workspaceFolderValue !== undefined
      ? ConfigurationTarget.WorkspaceFolder
      : places?.workspaceValue !== undefined
        ? ConfigurationTarget.Workspace
        : ConfigurationTarget.Global;
  await configuration.update(name, value, target);
}
