"""The governed documents of the fault tests: what an ordeal is judged by, and what such documents repeat."""


def document(kind: str, name: str, body: str) -> bytes:
    """A governed document of that kind: its head, and its body as written."""
    return f'apiVersion: countersign/v1\nkind: {kind}\nmetadata: {{name: {name}, version: "1"}}\n{body}'.encode()


def catalog(*entities: str) -> bytes:
    """A catalog of these entities."""
    return "---".join(entities).encode()


def resource(name: str, resource_id: str, *, environment: str = "test", criticality: str = "low") -> str:
    """A target in a catalog."""
    return f"""
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: {name}
  annotations:
    countersign/resource-id: {resource_id}
    countersign/environment: {environment}
    countersign/criticality: {criticality}
spec: {{type: database, owner: tests}}
"""


# What happens to an action follows from its target.
POLICY = document(
    "PolicyDocument",
    "ordeal",
    """
unsigned: [{}]
drift: {min_interval: 1s}
inconclusive: {within: 15s, on_expiry: compensate}
limits:
  - {id: barred, match: {targets: ["resource:barred"]}, reason: nothing happens here}
rules:
  - {id: routine, match: {operations: [count.row.add], targets: ["resource:calm"]}, verdict: allow}
  - {id: asked, match: {operations: [count.row.add], targets: ["resource:busy"]}, verdict: require_approval, chain: two}
  - {id: open, match: {operations: [count.row.add], targets: ["resource:open"]}, verdict: require_approval, chain: one}
  - id: brief
    match: {operations: [count.row.add], targets: ["resource:brief"]}
    verdict: require_approval
    chain: brief
  - {id: undo, match: {operations: [count.row.remove]}, verdict: allow}
chains:
  two:
    stages:
      - {name: first, requirements: [{groups: [oncall]}], deadline: 1h, reminders: [1s]}
      - {name: second, requirements: [{groups: [dba]}], deadline: 1h}
  one: {stages: [{name: only, requirements: [{groups: [oncall]}], deadline: 1h}]}
  brief: {stages: [{name: only, requirements: [{groups: [oncall]}], deadline: 2s}]}
""",
)
OPERATIONS = document(
    "OperationsRegistry",
    "ordeal",
    """
operations:
  - {name: count.row.add, executor: counting, severity: 10, inverse: [count.row.remove]}
  - {name: count.row.remove, executor: counting, severity: 10, needs_no_undo: true}
""",
)
DIRECTORY = document(
    "Directory",
    "ordeal",
    """
people:
  - {id: person:olga, groups: [oncall]}
  - {id: person:dirk, groups: [dba]}
  - {id: person:anna}
agents: [{id: agent:bot, owner: person:anna}]
""",
)
CATALOG = catalog(
    resource("calm", "target/calm"),
    resource("busy", "target/busy", criticality="critical"),
    resource("open", "target/open"),
    resource("brief", "target/brief"),
    resource("barred", "target/barred"),
)
# The same, where one of them is another thing by now.
MOVED = CATALOG.replace(b"target/open", b"target/moved")
DOCUMENTS = (POLICY, OPERATIONS, DIRECTORY, CATALOG)
