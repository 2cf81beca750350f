/**
 * The XML that programs write: elements with attributes, nothing between them. One pass from left to
 * right, so that a file of any size is read, or refused with its line, in time proportional to it.
 */
import { InputError } from "../../errors.ts";
import { shown } from "./sections.ts";

export interface Element {
  readonly name: string;
  /** Line of its tag, from 1. */
  readonly line: number;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
}

const TAG = /<(\/?)([A-Za-z_][\w.:-]{0,100})/y;
const ATTRIBUTE =
  /([A-Za-z_][\w.:-]{0,100})\s{0,9}=\s{0,9}(?:"([^"<]{0,1000})"|'([^'<]{0,1000})')/y;
const CLOSE = /(\/?)>/y;
const MAX_DEPTH = 50;

const entities: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** The root element of a document. Throws InputError with the line of what cannot be read. */
export function readXml(text: string, path: string): Element {
  let line = 1;
  let counted = 0;
  /** Line of a place; places are asked for in order. */
  const lineAt = (at: number): number => {
    for (let end = text.indexOf("\n", counted); end >= 0 && end < at;) {
      line++;
      counted = end + 1;
      end = text.indexOf("\n", counted);
    }
    return line;
  };
  const fail = (at: number, what: string): never => {
    throw new InputError(`cannot read ${path}: line ${lineAt(at)}: ${what}`);
  };
  const match = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  const skipBlanks = (at: number): number => {
    while (" \n\t\r".includes(text.charAt(at)) && at < text.length) at++;
    return at;
  };
  const open: Element[] = [];
  let root: Element | null = null;
  let at = text.startsWith("\uFEFF") ? 1 : 0;
  for (;;) {
    at = skipBlanks(at);
    if (at >= text.length) break;
    if (text.startsWith("<?", at) || text.startsWith("<!--", at)) {
      const ends = text[at + 1] === "?" ? "?>" : "-->";
      const end = text.indexOf(ends, at);
      if (end < 0) fail(at, `${text.slice(at, at + 4).trim()} is not closed`);
      at = end + ends.length;
      continue;
    }
    const tag = match(TAG, at);
    if (!tag) return fail(at, `expected an element, got ${shown(text.slice(at, at + 20))}`);
    const start = at;
    const [all, closing, name] = tag;
    at += all.length;
    if (closing) {
      at = skipBlanks(at);
      const end = match(CLOSE, at);
      if (!end || end[1]) fail(start, `</${name} is not closed`);
      const element = open.pop();
      if (element?.name !== name) {
        fail(start, element ? `</${name}> closes <${element.name}>` : `</${name}> closes nothing`);
      }
      at += end![0].length;
      continue;
    }
    const attributes = new Map<string, string>();
    for (;;) {
      const from = at;
      at = skipBlanks(at);
      const found = from < at ? match(ATTRIBUTE, at) : null;
      if (!found) break;
      const [whole, key] = found;
      if (attributes.has(key)) fail(start, `<${name}> has ${key} twice`);
      attributes.set(key, decoded(found[2] ?? found[3]));
      at += whole.length;
      if (attributes.size > 100) fail(start, `<${name}> has more than 100 attributes`);
    }
    const end = match(CLOSE, at);
    if (!end) return fail(start, `<${name}> cannot be read from ${shown(text.slice(at, at + 20))}`);
    at += end[0].length;
    const element: Element = { name, line: lineAt(start), attributes, children: [] };
    if (open.length > 0) open[open.length - 1].children.push(element);
    else if (root) fail(start, `<${name}> stands behind the end of <${root.name}>`);
    else root = element;
    if (!end[1]) open.push(element);
    if (open.length > MAX_DEPTH) fail(start, `elements are nested more than ${MAX_DEPTH} deep`);
  }
  if (!root) return fail(0, "there is no element");
  if (open.length > 0) {
    const { name, line: opened } = open[open.length - 1];
    fail(text.length, `the file ends inside <${name}> of line ${opened}`);
  }
  return root;
}

function decoded(text: string): string {
  return text.replace(/&(\w+);/g, (whole, name) => entities[name] ?? whole);
}
