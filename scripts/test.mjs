// `npm test`: every layer, counted together. The last line is `N passed, N failed`, with `, N skipped` where it applies.
import process, { argv, exit } from 'node:process';
import { parseArgs } from 'node:util';
import { layers } from './support/layers.mjs';
import { runProgram } from './support/programs.mjs';

const names = Object.keys(layers);

function wantedLayers() {
  const { values } = parseArgs({ args: argv.slice(2), options: { only: { type: 'string' } } });
  const wanted = values.only?.split(',') ?? names;
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`No layer ${unknown.join(', ')}. There are: ${names.join(', ')}.`);
  return names.filter((name) => wanted.includes(name));
}

async function runLayer(name) {
  console.log(`\n── ${name}`);
  const started = Date.now();
  const result = await layers[name]().catch((error) => ({
    passed: 0,
    failed: 1,
    skipped: [],
    failures: [`${name}: ${error.message}`],
  }));
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(
    `── ${name}: ${result.passed} passed / ${result.failed} failed / ${result.skipped.length} skipped in ${seconds} s`,
  );
  return result;
}

/** Title of a failed test and the first lines of what it said, which lies far up in the output otherwise. */
function shortened(failure) {
  const [title, ...message] = failure.split('\n');
  return [title, ...message.slice(0, 12).map((line) => `    ${line.slice(0, 300)}`)].join('\n');
}

async function main() {
  const wanted = wantedLayers();
  const built = await runProgram(process.execPath, ['esbuild.mjs']);
  const total = { passed: 0, failed: 0, skipped: [], failures: [] };
  if (built.code !== 0) {
    total.failed++;
    total.failures.push('build: esbuild failed');
  }
  for (const name of wanted) {
    const result = await runLayer(name);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped.push(...result.skipped);
    total.failures.push(...result.failures);
  }
  console.log('');
  for (const reason of total.skipped) console.log(`skipped: ${reason}`);
  for (const failure of total.failures) console.log(`failed: ${shortened(failure)}`);
  const skipped = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

main().then(exit, (error) => {
  console.error(error.message);
  exit(2);
});
