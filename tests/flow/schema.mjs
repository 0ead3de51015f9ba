// Holds every answer that the tests get to the API's document: a documented status, and a body of the documented shape.
import { run } from './server.mjs';

let document;
let patterns;

function load() {
  document = JSON.parse(run(['openapi']).stdout);
  patterns = Object.entries(document.paths).map(([path, operations]) => ({
    regex: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`), operations,
    literals: path.replace(/\{\w+\}/g, '').length,
  })).sort((a, b) => b.literals - a.literals);
}

const resolve = (schema) => (schema.$ref ? schema.$ref.slice(2).split('/').reduce((at, key) => at[key], document) : schema);
const typeOf = (value) => (Array.isArray(value) ? 'array' : value === null ? 'null' : Number.isInteger(value) ? 'integer' : typeof value);

// The first place where the value is not what the schema says; undefined: it is.
function problemOf(value, given, at) {
  const schema = resolve(given);
  const type = typeOf(value);
  const types = [schema.type ?? type].flat();
  if (!types.includes(type) && !(type === 'integer' && types.includes('number'))) return `${at}: ${type}, documented is ${types}`;
  if (schema.enum && !schema.enum.includes(value)) return `${at}: ${value} is none of ${schema.enum}`;
  if (type === 'array') return value.map((item, i) => problemOf(item, schema.items, `${at}[${i}]`)).find(Boolean);
  if (type !== 'object') return undefined;
  for (const name of schema.required ?? []) if (!(name in value)) return `${at}.${name} is missing`;
  return Object.entries(value).map(([name, item]) =>
    (schema.properties?.[name] ? problemOf(item, schema.properties[name], `${at}.${name}`) : `${at}.${name} is not documented`)).find(Boolean);
}

// Throws when the answer is not as documented. What is no operation of the API is no concern of the document.
export function mustBeAsDocumented(method, target, { status, headers, body }) {
  if (!document) load();
  const path = target.split('?')[0];
  const operation = patterns.find(({ regex, operations }) => regex.test(path) && operations[method.toLowerCase()])?.operations[method.toLowerCase()];
  if (!operation) return;
  const answer = resolve(operation.responses[status] ?? operation.responses.default);
  if (status < 300 && !operation.responses[status]) throw new Error(`${method} ${path}: ${status} is not documented`);
  if (method === 'HEAD' || (!answer.content && !headers.get('content-type'))) return; // no body, and none documented
  const type = headers.get('content-type')?.split(';')[0];
  const content = answer.content?.[type] ?? answer.content?.['*/*'];
  if (!content) throw new Error(`${method} ${path}: ${type} is not documented for ${status} (${Object.keys(answer.content ?? {})})`);
  const problem = type === 'application/json' && problemOf(body, content.schema, 'body');
  if (problem) throw new Error(`${method} ${path}: ${problem}`);
}
