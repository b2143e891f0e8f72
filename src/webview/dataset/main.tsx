import { mountPanel } from '../figures/mountPanel.tsx';
import '../panel.css';
import './dataset.css';
import { App, type DatasetHost } from './App.tsx';

declare function acquireVsCodeApi(): DatasetHost;

const host = acquireVsCodeApi();

mountPanel((_theme, _width, height) => <App host={host} height={height} />);
