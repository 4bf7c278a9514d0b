// Runs fake/main.ts through vite, so that no separate TypeScript runner is needed.
import { runnerImport } from 'vite';

await runnerImport('./fake/main.ts');
