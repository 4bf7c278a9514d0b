// Runs tests/real/ticket.ts through vite, so that no separate TypeScript runner is needed.
import { runnerImport } from 'vite';

await runnerImport('./tests/real/ticket.ts');
