// A version whose first epoch is not recorded yet: the page is loaded again once it is.
const place = document.querySelector("[data-awaited]");

if (place) {
  const source = new EventSource(place.dataset.awaited);
  source.addEventListener("flip_book", () => location.reload());
  source.addEventListener("end", () => {
    source.close();
    location.reload();
  });
}
