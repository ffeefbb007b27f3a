// Renders /openapi.json: enough of it to use the service, and nothing from another server.

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const code = (text) => make("code", { textContent: text });
const plain = (text) => text.replaceAll("`", "");
const table = (rows) => make("table", {}, ...rows.map((cells) => make("tr", {}, ...cells)));
const cell = (className, ...children) => make("td", { className }, ...children);

function type(schema = {}) {
  if (schema.anyOf) return schema.anyOf.filter((each) => each.type !== "null").map(type).join(" or ");
  const range = [schema.minimum, schema.maximum ?? schema.exclusiveMaximum];
  if (schema.enum) return schema.enum.join(", ");
  return (schema.type ?? "") + (range.some((end) => end !== undefined) ? ` ${range[0] ?? ""}…${range[1] ?? ""}` : "");
}

function article(path, method, operation) {
  const parts = [make("h2", {}, make("span", { className: "method", textContent: method.toUpperCase() }), " ", code(path))];
  parts.push(make("p", { textContent: `${operation.summary}.` }));
  if (operation.requestBody) parts.push(make("h3", { textContent: "Body" }), make("p", { textContent: plain(operation.requestBody.description) }));
  if (operation.parameters) {
    const rows = operation.parameters.map((each) => [
      cell("", code(each.name)), cell("type", type(each.schema)), cell("", each.description ?? each.schema.description ?? ""),
    ]);
    parts.push(make("h3", { textContent: "Parameters" }), table(rows));
  }
  if (method === "post") parts.push(make("h3", { textContent: "Example" }), make("pre", { textContent: example() }));
  const answers = Object.entries(operation.responses).filter(([status]) => status !== "422" || method === "post");
  parts.push(make("h3", { textContent: "Answers" }), table(answers.map(([status, { description }]) => [cell("", code(status)), cell("", plain(description))])));
  return make("article", {}, ...parts);
}

const example = () => `curl -F file=@photo.jpg '${location.origin}/translate' -o restored.jpg
curl --data-binary @scan.tif '${location.origin}/translate?format=png&amount=0.8' -o restored.png`;

const main = document.getElementById("operations");
try {
  const { info, paths } = await (await fetch("/openapi.json")).json();
  document.getElementById("title").textContent = `${info.title} ${info.version}`;
  const operations = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, each]) => article(path, method, each)));
  main.replaceChildren(
    make("p", { textContent: `${info.description} Errors are application/problem+json with a sentence in “detail”.` }),
    make("p", {}, "For generators of clients: ", make("a", { href: "/openapi.json", textContent: "/openapi.json" }), "."),
    ...operations,
  );
} catch (error) {
  main.replaceChildren(make("p", { className: "error", textContent: `The description cannot be shown: ${error.message}` }));
}
