// Stands in for Microsoft's Python extension, which no package registry has: the two calls of its interface that we make,
// answered with the environment that NURSE_PYTHON names.
const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { Uri } = require("vscode");

const environment = process.env.NURSE_PYTHON;

exports.activate = () => ({
  environments: {
    getActiveEnvironmentPath: () => ({ id: environment, path: environment }),
    resolveEnvironment: async ({ path }) => (existsSync(path) ? { executable: { uri: Uri.file(join(path, "bin", "python")) } } : undefined),
  },
});
