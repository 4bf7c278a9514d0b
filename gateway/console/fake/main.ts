// `npm run fake`: the fake server on port 8090 with the built widget and console. Sign in with pb_mei, pb_tom or pb_sara.
import { seed } from './seed';
import { startFake } from './server';

const fake = await startFake('dist', { heartbeatMs: 15_000 }, Number(process.env['PORT'] ?? 8090));
seed(fake.world);
console.log(`${fake.origin}/demo and ${fake.origin}/console/ (token pb_mei)`);
