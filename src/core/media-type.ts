/** Quoted values may hold semicolons. */
const PIECES = /(?:"[^"]*"|[^;"])+/g;

/** The same text for all ways of writing a media type: case, spaces, quotes and the order of parameters do not matter. */
function normal(type: string): string {
  const [essence = '', ...parameters] = (type.match(PIECES) ?? []).map((piece) => piece.trim());
  const pairs = parameters.filter(Boolean).map((parameter) => {
    const [name = '', ...value] = parameter.split('=');
    return `${name.trim().toLowerCase()}=${value
      .join('=')
      .trim()
      .replace(/^"(.*)"$/, '$1')}`;
  });
  return [essence.toLowerCase(), ...pairs.sort()].join(';');
}

/** Whether two media types are the same, parameters included (RFC 9110, section 8.3.1). */
export const sameType = (a: string, b: string): boolean => a === b || normal(a) === normal(b);
