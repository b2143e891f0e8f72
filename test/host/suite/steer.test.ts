import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { after, before, describe, it } from 'mocha';
import * as vscode from 'vscode';
import type { SteerTarget } from '../../../src/shared/contributions.ts';
import type { SteerDocument } from '../../../src/shared/steerDocument.ts';
import { closeEditors, extension, openPrompt, promptFile, smallWorld, until } from './support.ts';

const prompt = 'The nurse said that';
const hook = 'blocks.1.hook_resid_pre';

async function byCommandLine(...factors: number[]): Promise<SteerDocument> {
  const path = join(extension().extensionPath, 'dist', 'cli.cjs');
  const scored = ['--prompt', prompt, '--answer', ' she', '--foil', ' he', '--hook', hook];
  const direction = ['--toward', ' she', '--away', ' he', ...factors.flatMap((factor) => ['--factor', String(factor)])];
  const args = [path, 'steer', '--model', 'small-world', ...scored, ...direction, '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1e8 });
  return JSON.parse(stdout) as SteerDocument;
}

/** What the panel of a steering shows. */
async function values(): Promise<Readonly<Record<string, number>>> {
  const { document } = await until('a steering', () => {
    const state = extension().exports.figuresPanels().at(-1)?.state;
    return state?.document?.kind === 'figures' && state.document.analysis === 'steer' && state;
  });
  assert.ok(document?.kind === 'figures');
  return document.values;
}

describe('Mechanist: Steer', () => {
  before(() => extension().activate());
  after(closeEditors);

  it('shows the metric and the KL of every factor, with the numbers of the command line', async () => {
    const { uri } = await openPrompt(promptFile(smallWorld, prompt));
    const target: SteerTarget = {
      uri: uri.toString(),
      prompt: 0,
      direction: { kind: 'unembedding', toward: ' she', away: ' he' },
      hook,
      positions: 'all',
      factors: [-4, 4],
    };
    await vscode.commands.executeCommand('mechanist.steer', target);
    const shown = await values();
    const { clean, steered } = await byCommandLine(-4, 4);
    for (const { factor, value, kl } of [{ factor: 0, ...clean }, ...steered]) {
      assert.ok(Math.abs((shown[`metric at ${factor}`] ?? Number.NaN) - value) < 1e-5, `metric at ${factor}`);
      assert.ok(Math.abs((shown[`kl at ${factor}`] ?? Number.NaN) - kl) < 1e-5, `KL at ${factor}`);
    }
    assert.ok((shown['metric at 4'] ?? 0) > (shown['metric at -4'] ?? 0), 'the direction leads the other way');
  });

  it('takes the observable, the middle, every position and nine factors with Enter alone', async () => {
    const { uri } = await openPrompt(promptFile(smallWorld, prompt));
    let over = false;
    void vscode.commands.executeCommand('mechanist.steer', { uri: uri.toString(), prompt: 0 }).then(() => {
      over = true;
    });
    await until('the answers', async () => {
      await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
      return over;
    });
    const panel = extension().exports.figuresPanels().at(-1);
    const document = panel?.state.document;
    assert.ok(document?.kind === 'figures');
    assert.deepEqual(document.request.direction, { kind: 'unembedding', toward: ' she', away: ' he' });
    assert.deepEqual(document.request.factors, [-8, -6, -4, -2, 0, 2, 4, 6, 8]);
    assert.equal(document.request.hook, 'blocks.2.hook_resid_pre');
  });
});
