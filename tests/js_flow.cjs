// What a program with Azure's own JavaScript client does; it prints each step that is done.
const { AzureMachineLearningWorkspaces } = require("@azure/arm-machinelearning");
const { EnvironmentCredential } = require("@azure/identity");

const environment = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest";
const workspace = [process.env.AZURE_RESOURCE_GROUP, process.env.AZUREML_WORKSPACE_NAME];
const client = new AzureMachineLearningWorkspaces(new EnvironmentCredential(), process.env.AZURE_SUBSCRIPTION_ID);
const fast = { updateIntervalInMs: 50 };

async function listed(found) {
  const all = [];
  for await (const one of found) all.push(one.name ?? one.id);
  return all;
}

async function step(name, work, right) {
  const found = await work();
  if (!right(found)) throw new Error(`${name}: ${JSON.stringify(found)}`);
  console.log(`done ${name}`);
}

async function main() {
  const cluster = {
    location: "eastus",
    properties: {
      computeType: "AmlCompute",
      properties: {
        vmSize: "STANDARD_DS3_V2",
        scaleSettings: { minNodeCount: 0, maxNodeCount: 2, nodeIdleTimeBeforeScaleDown: "PT2M" },
      },
    },
  };
  const larger = { properties: { scaleSettings: { minNodeCount: 0, maxNodeCount: 3 } } };
  const { workspaces, computeOperations: computes, onlineEndpoints: online, jobs } = client;

  await step("workspace", () => workspaces.get(...workspace), (found) => found.name === workspace[1]);
  await step("workspace keys", () => workspaces.listKeys(...workspace), (found) => found.userStorageKey);
  await step("usages", () => listed(client.usages.list("eastus")), (found) => found.length > 0);
  await step("sizes", () => client.virtualMachineSizes.list("eastus"), (found) => found.value.length > 50);
  await step(
    "compute",
    () => computes.beginCreateOrUpdateAndWait(...workspace, "cpu-cluster", cluster, fast),
    (found) => found.properties.provisioningState === "Succeeded",
  );
  await step(
    "compute changed",
    () => computes.beginUpdateAndWait(...workspace, "cpu-cluster", larger, fast),
    (found) => found.properties.properties.scaleSettings.maxNodeCount === 3,
  );
  await step("nodes", () => listed(computes.listNodes(...workspace, "cpu-cluster")), (found) => found.length === 0);
  await step("computes", () => listed(computes.list(...workspace)), (found) => found.includes("cpu-cluster"));
  await step(
    "environment",
    () => client.environmentVersions.createOrUpdate(...workspace, "mine", "1", { properties: { image: "python:3.12" } }),
    (found) => found.properties.image === "python:3.12",
  );
  await step(
    "data",
    () =>
      client.dataVersions.createOrUpdate(...workspace, "rows", "1", {
        properties: { dataType: "uri_file", dataUri: "https://example.com/rows.csv" },
      }),
    (found) => found.properties.dataUri === "https://example.com/rows.csv",
  );
  await step("data name", () => client.dataContainers.get(...workspace, "rows"), (found) => found.properties.dataType);
  await step(
    "component",
    () =>
      client.componentVersions.createOrUpdate(...workspace, "hello", "1", {
        properties: {
          componentSpec: { name: "hello", version: "1", type: "command", command: "echo hello", environment },
        },
      }),
    (found) => found.name === "1",
  );
  const command = {
    properties: {
      jobType: "Command",
      command: "echo hello > ${{outputs.said}}/a.txt",
      environmentId: environment,
      computeId: "cpu-cluster",
      experimentName: "js",
      outputs: { said: { jobOutputType: "uri_folder" } },
    },
  };
  await step("job", () => jobs.createOrUpdate(...workspace, "from-js", command), (found) => found.name === "from-js");
  await step(
    "job done",
    async () => {
      for (;;) {
        const { status } = (await jobs.get(...workspace, "from-js")).properties;
        if (["Completed", "Failed", "Canceled"].includes(status)) return status;
        await new Promise((again) => setTimeout(again, 200));
      }
    },
    (found) => found === "Completed",
  );
  await step("jobs", () => listed(jobs.list(...workspace)), (found) => found.includes("from-js"));
  await step(
    "model",
    () =>
      client.modelVersions.createOrUpdate(...workspace, "said", "1", {
        properties: { modelUri: "azureml://jobs/from-js/outputs/said", modelType: "custom_model" },
      }),
    (found) => found.properties.modelUri.includes("/paths/"),
  );
  const endpoint = { location: "eastus", properties: { authMode: "Key" } };
  await step(
    "endpoint",
    () => online.beginCreateOrUpdateAndWait(...workspace, "from-js", endpoint, fast),
    (found) => found.properties.provisioningState === "Succeeded",
  );
  await step(
    "endpoint changed",
    () => online.beginUpdateAndWait(...workspace, "from-js", { tags: { a: "b" } }, fast),
    (found) => found.tags.a === "b" && found.properties.authMode === "Key",
  );
  const keys = await online.listKeys(...workspace, "from-js");
  await online.beginRegenerateKeysAndWait(...workspace, "from-js", { keyType: "Primary" }, fast);
  await step(
    "keys",
    () => online.listKeys(...workspace, "from-js"),
    (found) => found.primaryKey !== keys.primaryKey && found.secondaryKey === keys.secondaryKey,
  );
  const nightly = (isEnabled) => ({
    properties: {
      isEnabled,
      action: { actionType: "CreateJob", jobDefinition: command.properties },
      trigger: { triggerType: "Cron", expression: "0 0 * * *" },
    },
  });
  await step(
    "schedule",
    () => client.schedules.beginCreateOrUpdateAndWait(...workspace, "nightly", nightly(true), fast),
    (found) => found.properties.isEnabled && found.properties.trigger.expression === "0 0 * * *",
  );
  await step("schedules", () => listed(client.schedules.list(...workspace)), (found) => found.includes("nightly"));
  await step(
    "schedule off",
    () => client.schedules.beginCreateOrUpdateAndWait(...workspace, "nightly", nightly(false), fast),
    (found) => !found.properties.isEnabled,
  );
  await step("schedule gone", () => client.schedules.beginDeleteAndWait(...workspace, "nightly", fast), () => true);
  const batch = { location: "eastus", properties: { authMode: "AADToken" } };
  await step(
    "batch endpoint",
    () => client.batchEndpoints.beginCreateOrUpdateAndWait(...workspace, "batch-js", batch, fast),
    (found) => found.properties.provisioningState === "Succeeded",
  );
  await step("batch gone", () => client.batchEndpoints.beginDeleteAndWait(...workspace, "batch-js", fast), () => true);
  await step("endpoint gone", () => online.beginDeleteAndWait(...workspace, "from-js", fast), () => true);
  await step(
    "compute gone",
    () => computes.beginDeleteAndWait(...workspace, "cpu-cluster", "Delete", fast),
    () => true,
  );
}

main().catch((error) => {
  console.error(error.stack ?? error);
  process.exit(1);
});
