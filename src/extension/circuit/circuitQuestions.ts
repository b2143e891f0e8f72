import { dirname, relative, sep } from 'node:path';
import * as vscode from 'vscode';
import { missingNode, nodeName, parseNodeName } from '../../core/circuits/nodeNames.ts';
import type { CircuitFile } from '../../shared/circuit.ts';
import type { CircuitGain, CircuitSetting } from '../../shared/circuitPanelProtocol.ts';
import { signed } from '../../shared/format.ts';
import type { EnginePort } from '../engineClient.ts';

/** A node to put in: those with the largest gain first, or any that is typed. */
export async function askNode(
  circuit: CircuitFile,
  setting: CircuitSetting | null,
  gains: readonly CircuitGain[],
): Promise<string | undefined> {
  const inside = new Set(circuit.nodes.map(({ node }) => node));
  const measured = [...gains].sort((a, b) => Math.abs(b.gain) - Math.abs(a.gain));
  const offered = measured.filter(({ node }) => !inside.has(node)).slice(0, 200);
  const other = { label: '$(edit) Type a Name…', node: '' };
  const items = [...offered.map(({ node, gain }) => ({ label: node, description: signed(gain), node })), other];
  const picked = await vscode.window.showQuickPick(items, {
    title: 'Add Node',
    placeHolder: 'What the metric gains over the circuit when the node is put in',
  });
  if (picked === undefined || picked.node !== '') return picked?.node;
  const sizes = setting ?? { nLayers: Number.POSITIVE_INFINITY, nHeads: Number.POSITIVE_INFINITY };
  const typed = await vscode.window.showInputBox({
    title: 'Add Node',
    prompt: 'A head as L9.H6, an MLP as MLP 3, a neuron as N3.1207',
    validateInput: (text) => {
      const part = parseNodeName(text);
      if (part !== null && inside.has(nodeName(part))) return `${nodeName(part)} is in the circuit already.`;
      return missingNode(text, { ...sizes, dMlp: Number.POSITIVE_INFINITY });
    },
  });
  const part = typed === undefined ? null : parseNodeName(typed);
  return part === null ? undefined : nodeName(part);
}

/** A role for a node: one of the circuit's, a new one, or none. Undefined when the person gave up. */
export async function askRole(circuit: CircuitFile, node: string): Promise<{ role: string | undefined } | undefined> {
  const own = circuit.nodes.find((one) => one.node === node)?.role;
  const roles = [...new Set(circuit.nodes.flatMap(({ role }) => role ?? []))];
  const items = [
    ...roles.map((role) => ({ label: role, description: role === own ? 'now' : '', what: 'role' as const })),
    { label: '$(edit) New Role…', what: 'new' as const },
    ...(own === undefined ? [] : [{ label: '$(close) No Role', what: 'none' as const }]),
  ];
  const picked = await vscode.window.showQuickPick(items, { title: `Role of ${node}` });
  if (picked === undefined) return undefined;
  if (picked.what === 'none') return { role: undefined };
  if (picked.what === 'role') return { role: picked.label };
  const typed = await vscode.window.showInputBox({ title: `Role of ${node}`, prompt: 'As letter mover' });
  return typed === undefined || typed.trim() === '' ? undefined : { role: typed.trim() };
}

/** A person's own name for a node; empty: its own. Undefined when the person gave up. */
export async function askLabel(circuit: CircuitFile, node: string): Promise<{ label: string | undefined } | undefined> {
  const own = circuit.nodes.find((one) => one.node === node)?.label ?? '';
  const typed = await vscode.window.showInputBox({
    title: `Name of ${node}`,
    value: own,
    prompt: 'Empty: the node’s own name',
  });
  if (typed === undefined) return undefined;
  return { label: typed.trim() === '' ? undefined : typed.trim() };
}

/** A dataset, as a path relative to the circuit's file. */
export async function chooseData(circuit: vscode.Uri): Promise<string | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    title: 'Choose Data',
    canSelectMany: false,
    defaultUri: vscode.Uri.joinPath(circuit, '..'),
    filters: { Dataset: ['jsonl'] },
  });
  const path = chosen?.[0]?.fsPath;
  return path === undefined ? undefined : relative(dirname(circuit.fsPath), path).split(sep).join('/');
}

/** The model that a graph is of: one that is on this machine. */
export async function askModel(port: EnginePort): Promise<string | undefined> {
  const listings = await port.request('models.list', null);
  const items = listings
    .filter(({ state }) => state === 'ready' || state === 'bundled')
    .map(({ ref, label }) => ({ label: ref, description: label }));
  const picked = await vscode.window.showQuickPick(items, {
    title: 'Model of This Graph',
    placeHolder: 'A graph of EAP-IG does not say which model it was made with',
  });
  return picked?.label;
}
