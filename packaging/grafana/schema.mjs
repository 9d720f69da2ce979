// Writes TypeScript that compiles if and only if the dashboard named on the command line is as Grafana's types want it.
import { readFileSync } from 'node:fs';

const dashboard = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const plugins = { stat: 'stat/panelcfg/x/StatPanelCfg', table: 'table/panelcfg/x/TablePanelCfg',
  timeseries: 'timeseries/panelcfg/x/TimeSeriesPanelCfg', 'state-timeline': 'statetimeline/panelcfg/x/StateTimelinePanelCfg' };
const base = '@grafana/schema/dist/esm/raw/composable/';

// JSON has the values of the types' enumerations, not their names.
console.log(`import type { Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? (string extends T ? T : T | \`\${T}\`)
  : T extends number ? (number extends T ? T : T | (\`\${T}\` extends \`\${infer N extends number}\` ? N : never))
  : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
export const dashboard: Plain<Dashboard> = ${JSON.stringify(dashboard)};`);

for (const panel of dashboard.panels.filter((p) => p.type !== 'row')) {
  if (!(panel.type in plugins)) throw new Error(`panel ${panel.id}: give the type ${panel.type} its plugin here`);
  const custom = panel.fieldConfig.defaults.custom;
  console.log(`export const options${panel.id}: Plain<import('${base}${plugins[panel.type]}_types.gen').Options> = ${JSON.stringify(panel.options)};`);
  if (custom) { // a panel's own settings of fields; a table's are in the common types
    const type = panel.type === 'table' ? `Partial<import('@grafana/schema').TableFieldOptions>`
      : `import('${base}${plugins[panel.type]}_types.gen').FieldConfig`;
    console.log(`export const custom${panel.id}: Plain<${type}> = ${JSON.stringify(custom)};`);
  }
}
