// Runs tests/real/talk.ts through vite, so that no separate TypeScript runner is needed.
import { runnerImport } from 'vite';

await runnerImport('./tests/real/talk.ts');
