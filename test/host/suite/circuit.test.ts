import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import * as vscode from 'vscode';
import { circuitToText } from '../../../src/core/circuits/circuitFile.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import type { CircuitPanelState } from '../../../src/shared/circuitPanelProtocol.ts';
import { resultToJson } from '../../../src/shared/resultJson.ts';
import { makeFigures } from '../../support/figuresFixture.ts';
import { pronounRows } from '../../support/pronounRows.ts';
import { closeEditors, extension, until } from './support.ts';

const circuit: CircuitFile = {
  schemaVersion: 1,
  kind: 'circuit',
  name: 'pronouns',
  model: { ref: 'small-world' },
  scope: 'heads',
  nodes: [
    { node: 'L1.H0', role: 'first' },
    { node: 'L2.H3', role: 'second' },
    { node: 'L3.H1', role: 'second' },
  ],
  data: { path: 'pronouns.jsonl' },
  ablation: { kind: 'mean' },
  provenance: { method: 'by hand' },
};

let folder: string;

type Panel = ReturnType<NonNullable<ReturnType<typeof extension>['exports']>['circuitPanels']>[number];

async function openCircuit(text = circuitToText(circuit)): Promise<Panel> {
  const file = join(folder, 'a.circuit.json');
  writeFileSync(file, text);
  await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));
  return await until('a circuit panel', () => extension().exports.circuitPanels().at(-1));
}

function settled(panel: Panel, wanted: (state: CircuitPanelState) => boolean): Promise<CircuitPanelState> {
  const { model } = panel;
  const why = () => JSON.stringify([model.state.freshness, model.state.error, model.state.faults]);
  return until('settled numbers', () => wanted(model.state) && model.state, why);
}

const fresh = (nodes: number) => (state: CircuitPanelState) =>
  state.freshness === 'fresh' && state.evaluation?.circuit.nodes.length === nodes;

const faithfulness = (state: CircuitPanelState): number => state.evaluation?.faithfulness.overall.mean ?? Number.NaN;

describe('circuits', () => {
  before(() => extension().activate());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-circuit-'));
    writeFileSync(join(folder, 'pronouns.jsonl'), pronounRows());
  });
  afterEach(async () => {
    await vscode.commands.executeCommand('workbench.action.files.revert');
    await closeEditors();
    await until('closed panels', () => extension().exports.circuitPanels().length === 0);
    rmSync(folder, { recursive: true, force: true });
  });

  it('a head is taken out, the new faithfulness comes, undo brings both back', async function () {
    const panel = await openCircuit();
    const before = await settled(panel, fresh(3));
    assert.equal(before.evaluation?.random.overall.length, 200);
    assert.equal(before.gains.length, 21);
    const loss = before.evaluation?.minimality.find(({ node }) => node === 'L3.H1')?.loss.overall.mean ?? Number.NaN;
    const text = panel.document.getText();
    const asked = performance.now();
    const first = new Promise<number>((resolve) => {
      const timer = setInterval(() => {
        const { evaluation, freshness } = panel.model.state;
        if (freshness === 'old' || evaluation?.circuit.nodes.length !== 2) return;
        clearInterval(timer);
        resolve(performance.now() - asked);
      }, 5);
    });
    await panel.receive({ type: 'edit', edit: { kind: 'remove', node: 'L3.H1' } });
    if (this.test) this.test.title += `: first numbers after ${Math.round(await first)} ms`;
    const after = await settled(panel, fresh(2));
    const change = (before.evaluation?.inCircuit.overall.mean ?? 0) - (after.evaluation?.inCircuit.overall.mean ?? 0);
    assert.ok(Math.abs(change - loss) < 1e-5, `${change} is not the loss ${loss}`);
    assert.notEqual(faithfulness(after), faithfulness(before));
    assert.ok(!panel.document.getText().includes('L3.H1'));
    assert.ok(panel.document.isDirty);
    await vscode.commands.executeCommand('undo');
    await until('the old text', () => panel.document.getText() === text);
    assert.ok(Math.abs(faithfulness(await settled(panel, fresh(3))) - faithfulness(before)) < 1e-9);
  });

  it('roles and names are saved in the file and ask for no numbers', async () => {
    const panel = await openCircuit();
    const { evaluation } = await settled(panel, fresh(3));
    await panel.receive({ type: 'edit', edit: { kind: 'role', node: 'L1.H0', role: 'reader' } });
    await panel.receive({ type: 'edit', edit: { kind: 'label', node: 'L1.H0', label: 'job reader' } });
    await until('the label', () => panel.model.state.circuit?.nodes[0]?.label === 'job reader');
    assert.equal(panel.model.state.freshness, 'fresh');
    assert.equal(panel.model.state.evaluation?.faithfulness, evaluation?.faithfulness);
    await panel.document.save();
    assert.match(panel.document.getText(), /"role":"reader","label":"job reader"/);
  });

  it('a trailing comma is told with its place, and mended by hand', async () => {
    const panel = await openCircuit(circuitToText(circuit).replace('"role":"second"}\n  ]', '"role":"second"},\n  ]'));
    const { faults, circuit: shown } = await settled(panel, (state) => state.faults.length > 0);
    assert.equal(shown, null);
    assert.match(faults[0]?.message ?? '', /comma after the last entry/);
    const { line = 0, column = 0 } = faults[0] ?? {};
    const edit = new vscode.WorkspaceEdit();
    edit.delete(panel.document.uri, new vscode.Range(line - 1, column - 1, line - 1, column));
    await vscode.workspace.applyEdit(edit);
    assert.equal((await settled(panel, fresh(3))).faults.length, 0);
    await panel.document.save();
  });

  it('other weights: nothing is computed before somebody goes on', async () => {
    const panel = await openCircuit(circuitToText({ ...circuit, model: { ref: 'small-world', hash: 'f'.repeat(64) } }));
    const state = await settled(panel, ({ otherModel }) => otherModel !== null);
    assert.equal(state.otherModel?.expected, 'f'.repeat(64));
    assert.equal(state.evaluation, null);
    await panel.receive({ type: 'goOn' });
    assert.equal((await settled(panel, fresh(3))).otherModel, null);
  });

  it('a head that is looked at shows where it attends', async () => {
    const panel = await openCircuit();
    await settled(panel, fresh(3));
    await panel.receive({ type: 'select', node: 'L1.H0', answer: 'all' });
    const { detail, reads } = await settled(panel, (state) => state.detail?.pictures !== null && state.detail !== null);
    assert.equal(detail?.error, null);
    assert.ok(reads.some(({ node, attention }) => node === 'L1.H0' && attention > 0));
  });

  it('goes out as a graph of EAP-IG; such a graph is told, not taken for a broken file', async () => {
    const panel = await openCircuit();
    await settled(panel, fresh(3));
    const graph = await panel.model.convert('eap-ig');
    assert.ok(graph);
    await closeEditors();
    const other = await openCircuit(graph);
    const state = await settled(other, ({ foreign }) => foreign);
    assert.deepEqual(state.faults, []);
  });

  it('the acronym circuit of the examples opens with its faithfulness', async () => {
    const [root] = vscode.workspace.workspaceFolders ?? [];
    assert.ok(root);
    const file = vscode.Uri.joinPath(root.uri, 'acronyms', 'bundled.circuit.json');
    await vscode.commands.executeCommand('vscode.open', file);
    const panel = await until('a circuit panel', () => extension().exports.circuitPanels().at(-1));
    const state = await settled(panel, ({ evaluation, freshness }) => evaluation !== null && freshness !== 'old');
    assert.ok(faithfulness(state) > 0.9 && faithfulness(state) < 1.1, `faithfulness ${faithfulness(state)}`);
    panel.model.cancel();
  });

  it('results of experiments open as their figures', async () => {
    const file = join(folder, 'step.mechanist.json');
    writeFileSync(file, resultToJson(makeFigures()));
    await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));
    const panel = await until('a figures panel', () => extension().exports.figuresPanels().at(-1));
    await until('its document', () => panel.state.document?.kind === 'figures');
    assert.equal(panel.state.error, null);
  });
});
