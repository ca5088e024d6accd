// What the server is asked. It keeps no games: each question carries the moves so far.

async function answer(response) {
  const found = await response.json().catch(() => ({ error: "the server's answer cannot be read" }));
  if (!response.ok) throw new Error(found.error || `the server says ${response.status}`);
  return found;
}

export async function get(name, query = {}) {
  const words = new URLSearchParams(query).toString();
  return answer(await fetch(`api/${name}${words ? `?${words}` : ""}`));
}

export async function post(name, body) {
  const headers = { "Content-Type": "application/json" };
  return answer(await fetch(`api/${name}`, { method: "POST", headers, body: JSON.stringify(body) }));
}
