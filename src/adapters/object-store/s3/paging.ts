/**
 * All pages of a listing. `next` asks for the one after `last`, `mark` gives where that ends. Stops where the mark is
 * missing or does not move on, whatever the store says: asking again would bring the same page for ever.
 */
export async function* pages<Page extends { IsTruncated?: boolean | undefined }>(
  next: (last: Page | undefined) => Promise<Page>,
  mark: (page: Page) => string | undefined,
): AsyncGenerator<Page> {
  let page: Page | undefined;
  let before: string | undefined;
  do {
    before = page && mark(page);
    page = await next(page);
    yield page;
  } while (page.IsTruncated && mark(page) && mark(page) !== before);
}
