"use strict";
// Unpacks the plotting library, and draws every picture as wide as its place in the page.
const unpack = async (id) => {
  const packed = Uint8Array.from(atob(document.getElementById(id).text), (c) => c.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).text();
};

const config = (narrow, names) => {
  const axis = {
    labelColor: "var(--faint)", titleColor: "var(--faint)", domainColor: "var(--line)",
    tickColor: "var(--line)", gridColor: "var(--line)", gridOpacity: 0.6, labelFontSize: 12,
    titleFontSize: 12, titleFontWeight: "normal",
  };
  return {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis,
    axisX: { grid: true, tickCount: narrow ? 5 : 10, labelFlush: true },
    // One width for all, so that the pictures' axes of time stand below one another.
    axisY: { grid: false, minExtent: names, maxExtent: names, labelLimit: names - 8, domain: false, ticks: false },
    legend: { labelColor: "var(--text)", symbolType: "square", labelFontSize: 12, columns: narrow ? 3 : 8 },
    title: { color: "var(--text)", fontSize: 13, fontWeight: 600, limit: narrow ? 340 : 900 },
  };
};

const draw = async (id, picture) => {
  const place = document.getElementById(id);
  const width = place.clientWidth;
  const narrow = width < 560;
  const spec = structuredClone(picture);
  const names = Math.min(Math.max(spec.usermeta.longest_label * 7, 30) + 12, narrow ? 110 : 240);
  const plot = Math.max(120, width - names - 24);
  for (const view of spec.vconcat) view.width = plot;
  const options = {
    renderer: "svg", actions: false, config: config(narrow, names), tooltip: { theme: "custom", disableDefaultStyle: true },
  };
  const drawn = document.createElement("div");
  place.replaceChildren(drawn);
  await vegaEmbed(drawn, spec, options);
  place.dataset.width = width;
};

(async () => {
  const [library, text] = await Promise.all([unpack("library"), unpack("pictures")]);
  const script = document.createElement("script");
  script.text = library;
  document.head.append(script);
  const pictures = JSON.parse(text);
  for (const id of Object.keys(pictures)) await draw(id, pictures[id]);
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const id of Object.keys(pictures)) {
        const place = document.getElementById(id);
        if (Number(place.dataset.width) !== place.clientWidth) draw(id, pictures[id]);
      }
    }, 150);
  });
})().catch((error) => {
  for (const place of document.querySelectorAll(".picture")) {
    place.textContent = `The picture could not be drawn: ${error}`;
  }
  console.error(error);
});
