// One order's life by the client that openapi-generator makes for fetch. Prints what it read.
import { readFileSync } from "node:fs";
import {
  CancelReason,
  Configuration,
  Order,
  OrderMessageFromJSON,
  OrdersApi,
  PayloadType,
  Priority,
  ProblemFromJSON,
  ResponseError,
} from "./typescript_fetch";

const { URL: basePath = "", KEY: apiKey = "", TRIP = "", MESSAGE = "" } = process.env;
const orders = new OrdersApi(new Configuration({ basePath, apiKey }));

interface Trip {
  pickup_lat: number;
  pickup_lng: number;
  dropoff_lat: number;
  dropoff_lng: number;
  payload_weight_kg: number;
}

function place() {
  const trip: Trip = JSON.parse(TRIP);
  return orders.ordersCreate({
    newOrder: {
      pickupLat: trip.pickup_lat,
      pickupLng: trip.pickup_lng,
      dropoffLat: trip.dropoff_lat,
      dropoffLng: trip.dropoff_lng,
      payloadWeightKg: trip.payload_weight_kg,
      payloadType: PayloadType.Medicine,
      customerName: "Ama Mensah",
      customerEmail: "ama@example.com",
    },
  });
}

async function walk(): Promise<Order[]> {
  const found: Order[] = [];
  let cursor: string | null | undefined = "";
  while (typeof cursor === "string") {
    const page = await orders.ordersList({ cursor, pageSize: 2 });
    found.push(...page.items);
    cursor = page.nextCursor;
  }
  return found;
}

async function main() {
  const [placed] = [await place(), await place(), await place()];
  const order = await orders.ordersRetrieve({ orderId: placed.id });
  const canceled = await orders.ordersCancel({
    orderId: placed.id,
    cancelInput: { reason: CancelReason.CustomerRequest },
  });
  const refused = await orders
    .ordersPartialUpdate({ orderId: placed.id, orderChange: { priority: Priority.Urgent } })
    .catch((error) => error);
  if (!(refused instanceof ResponseError)) throw new Error("a canceled order was changed");
  const problem = ProblemFromJSON(await refused.response.json());
  const message = OrderMessageFromJSON(JSON.parse(readFileSync(MESSAGE, "utf-8")));
  const { order: told, event } = message.data;
  console.log(
    JSON.stringify({
      placed: placed.id,
      listed: (await walk()).map((one) => one.id),
      read: [order.customerEmail, order.status, order.deliverBy.toISOString()],
      canceled: canceled.status,
      problem: [problem.status, problem.code],
      message: [message.type, told.id, told.custody.holder, event.type],
    }),
  );
}

main();
