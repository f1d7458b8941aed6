// One order's life by openapi-fetch, with the types that openapi-typescript makes. Prints what it
// read.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./openapi_typescript/schema";

type Order = components["schemas"]["Order"];
type Message = webhooks["order"]["post"]["requestBody"]["content"]["application/json"];

const { URL: baseUrl = "", KEY = "", TRIP = "", MESSAGE = "" } = process.env;
const client = createClient<paths>({ baseUrl, headers: { "X-API-Key": KEY } });

async function place() {
  const { data, error } = await client.POST("/api/v1/orders", {
    body: {
      ...(JSON.parse(TRIP) as components["schemas"]["OrderInput"]),
      payload_type: "MEDICINE",
      customer_name: "Ama Mensah",
      customer_email: "ama@example.com",
    },
  });
  if (!data) throw new Error(error.detail);
  return data;
}

async function walk(): Promise<Order[]> {
  const found: Order[] = [];
  let cursor: string | null | undefined = "";
  while (typeof cursor === "string") {
    const query: { cursor: string; page_size: number } = { cursor, page_size: 2 };
    const { data, error } = await client.GET("/api/v1/orders", { params: { query } });
    if (!data) throw new Error(error.detail);
    found.push(...data.items);
    cursor = data.next_cursor;
  }
  return found;
}

async function main() {
  const [placed] = [await place(), await place(), await place()];
  const params = { path: { order_id: placed.id } };
  const { data: order } = await client.GET("/api/v1/orders/{order_id}", { params });
  const body = { reason: "CUSTOMER_REQUEST" } as const;
  const { data: canceled } = await client.POST("/api/v1/orders/{order_id}/cancel", {
    params,
    body,
  });
  const { error: problem } = await client.PATCH("/api/v1/orders/{order_id}", {
    params,
    body: { priority: "URGENT" },
  });
  if (!order || !canceled || !problem) throw new Error("not answered as described");
  const message: Message = JSON.parse(readFileSync(MESSAGE, "utf-8"));
  const { order: told, event } = message.data;
  console.log(
    JSON.stringify({
      placed: placed.id,
      listed: (await walk()).map((one) => one.id),
      read: [order.customer_email, order.status, order.deliver_by],
      canceled: canceled.status,
      problem: [problem.status, problem.code],
      message: [message.type, told.id, told.custody.holder, event.type],
    }),
  );
}

main();
