// Fails the build when it is not what the gateway embeds, or when the widget has grown too big for other people's pages.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const WIDGET_GZIP_MAX = 15_000;

const problems = [];
for (const file of ['dist/widget.js', 'dist/demo.html', 'dist/console/index.html', 'dist/console/demo.css']) {
  if (!existsSync(file)) problems.push(`${file} is missing`);
}
const size = gzipSync(readFileSync('dist/widget.js'), { level: 9 }).length;
if (size > WIDGET_GZIP_MAX) problems.push(`widget.js is ${size} bytes gzipped, ${WIDGET_GZIP_MAX} at most`);
const page = readFileSync('dist/console/index.html', 'utf8');
// The server allows scripts and styles of its own origin only.
if (/<script(?![^>]*\ssrc=)|<style|\son\w+=|style=/.test(page)) problems.push('dist/console/index.html has inline code');
if (/https?:\/\//.test(page)) problems.push('dist/console/index.html loads something from elsewhere');
for (const file of readdirSync('dist/console/assets')) {
  if (!/-[\w-]{8}\.\w+$/.test(file)) problems.push(`dist/console/assets/${file} has no hash in its name`);
}
if (problems.length) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`widget.js: ${size} of ${WIDGET_GZIP_MAX} bytes gzipped`);
