/** One part of a form, written out byte by byte: tests send what no form library would. */
export interface FormPart {
  name: string;
  value: string | Uint8Array;
  /** Makes it a file part. Written as it is between the quotes. */
  filename?: string;
  type?: string;
  /** Header lines that replace the usual ones. */
  headers?: string[];
}

export interface Form {
  contentType: string;
  body: Buffer<ArrayBuffer>;
}

/** multipart/form-data (RFC 7578). */
export function form(parts: readonly FormPart[], boundary = 'windlass-test-boundary'): Form {
  const pieces = parts.flatMap((part) => [
    Buffer.from(`--${boundary}\r\n${partHead(part)}\r\n\r\n`),
    Buffer.from(part.value),
    Buffer.from('\r\n'),
  ]);
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]),
  };
}

/** The head of a part, without the empty line that ends it. */
export function partHead({ name, filename, type, headers }: FormPart): string {
  if (headers) return headers.join('\r\n');
  const disposition = `Content-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`;
  return type === undefined ? disposition : `${disposition}\r\nContent-Type: ${type}`;
}

/** A form with one file and the fields before it. */
export const fileForm = (value: string | Uint8Array, fields: Record<string, string> = {}, file: Partial<FormPart> = {}): Form =>
  form([
    ...Object.entries(fields).map(([name, text]) => ({ name, value: text })),
    { name: 'file', filename: 'cat.bin', type: 'application/octet-stream', value, ...file },
  ]);
