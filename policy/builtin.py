"""What is registered without anybody having written it: how governed documents themselves are changed.

No document can redefine these: a name that occurs here and in a document is refused where the document is read.
"""

PUBLISH = "countersign.document.publish"
IN_FORCE = "countersign.document.in_force"
EXECUTOR = "countersign"
TARGET = "resource:countersign/documents"
ENVIRONMENT = "countersign"
# Whoever proposes from the command line is the agent and the person in one.
AGENT = "agent:countersign"

OPERATIONS = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: countersign, version: "1", description: how governed documents themselves are changed}
probes:
  - {name: countersign.document.in_force, executor: countersign, type: string, parameters: {kind: {type: string}}}
operations:
  - name: countersign.document.publish
    executor: countersign
    severity: 60
    floor: high
    effects: [security]
    inverse: [countersign.document.publish]
    description: Puts a drafted document in force, over the one that was in force when it was proposed.
    criteria:
      - {probe: countersign.document.in_force, parameters: {kind: $kind}, equals: $digest}
    parameters:
      kind: {type: string, pattern: policy|operations|catalog|directory}
      digest: {type: string, pattern: 'sha256:[0-9a-f]{64}'}
      previous: {type: string, pattern: 'sha256:[0-9a-f]{64}'}
"""
CATALOG = b"""
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: documents
  namespace: countersign
  annotations:
    countersign/resource-id: countersign:documents
    countersign/environment: countersign
    countersign/criticality: critical
spec: {type: governed-documents, owner: countersign}
"""
