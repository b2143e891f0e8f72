/** The jobs of the benchmark of sweeps, and what each costs a peer. */

/**
 * What Mechanist is asked, and each peer's way of doing the same. A sweep that costs a peer a forward pass a cell is run for `cells`,
 * spread over the layers, and multiplied out to `total`.
 */
export function jobsOf({ layers, heads, length, count }) {
  const every = (list) => list.filter((layer) => layer < layers);
  const spread = Array.from({ length: count }, (_, i) => Math.round((i * (layers - 2)) / (count - 1)));
  const someHeads = every(spread).map((layer) => [layer, (layer * 5) % heads]);
  const places = Array.from({ length: count }, (_, i) => Math.round((i * (layers - 1)) / (count - 1)));
  const somePlaces = every(places).map((layer, i) => [layer, (3 * i) % length]);
  const ablate = { cells: someHeads, width: heads, total: layers * heads, task: 'ablate' };
  const forms = [{ peer: 'tl' }, { peer: 'hooked' }, { peer: 'tl', resume: true }, { peer: 'hooked', resume: true }];
  return [
    { name: 'forward, last logits', ours: 'last', task: 'last', peers: [{ peer: 'hf' }] },
    { name: 'forward, all logits', ours: 'full', task: 'full', peers: [{ peer: 'tl' }, { peer: 'hooked' }] },
    {
      ...ablate,
      name: `zero-ablate ${layers * heads} heads, exact`,
      ours: 'ablate',
      peers: [...forms, { peer: 'nnsight' }],
    },
    {
      ...ablate,
      name: `zero-ablate ${layers * heads} heads, screened`,
      ours: 'screened',
      peers: [],
      // The peers' times of the row before: the same question.
      as: 'ablate',
    },
    {
      name: `patch resid_pre at ${layers * length} places`,
      ours: 'residPatch',
      task: 'residPatch',
      cells: somePlaces,
      width: length,
      total: layers * length,
      peers: forms,
    },
    {
      name: 'attribution patching, resid_pre and z',
      ours: 'attribution',
      task: 'attribution',
      peers: [{ peer: 'tl' }, { peer: 'hooked' }],
    },
    {
      name: `direct paths, ${layers * heads} heads to logits`,
      ours: 'pathDirect',
      task: 'pathDirect',
      peers: [{ peer: 'tl' }, { peer: 'hooked' }],
    },
  ];
}

/**
 * Floating-point operations of matrix products that an exact sweep over heads cannot do without: one clean run; for each head the
 * change of attn_out, the MLP of its layer, the layers above in full, but in the last one only keys and values everywhere and the
 * rest at the answer. In the last layer's heads only the answer. Products of attention itself included.
 */
export function necessaryOperations({ dModel, dMlp, layers, heads, keyValueHeads, dHead, gated, prompts, length }) {
  const mlp = (gated ? 3 : 2) * dModel * dMlp;
  const queries = dModel * heads * dHead;
  const keysValues = 2 * dModel * keyValueHeads * dHead;
  const mixing = (rows) => 2 * rows * length * heads * dHead;
  const block = length * (2 * queries + keysValues + mlp) + mixing(length);
  const last = length * keysValues + 2 * queries + mlp + mixing(1);
  const delta = dHead * dModel;
  let products = (layers - 1) * block + last;
  for (let layer = 0; layer < layers - 1; layer += 1) {
    products += heads * (length * (delta + mlp) + (layers - 2 - layer) * block + last);
  }
  products += heads * (delta + mlp);
  return 2 * prompts * products;
}
