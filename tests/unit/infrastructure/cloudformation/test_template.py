"""The final template: minimal permissions, no cycles, and names instead of references."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from graphlib import TopologicalSorter
from typing import Any, Final

import pytest

import app
from chalicelib.errors import Unauthorised
from chalicelib.model.runner import LEASE
from chalicelib.store.operators import STEP_KEPT_FOR
from chalicelib.web import runner_authorizer
from chalicelib.web.runner_api import NEXT_CALL_MS
from infrastructure.deploying.settings import RUNNER_NEEDS
from infrastructure.packaging.package import APPLICATION
from tests.unit.support import final_template
from tests.unit.support.final_template import actions, as_text, of_type, resources, resources_of, statements
from tests.unit.support.reach import Code
from wire import Refusal, SyncRequest

#: (resource, Sid) of statements for all resources, each with the reason.
WITHOUT_A_NAME: Final = {
    ("RunnerStartRole", "SignsInToEcr"): "ECR's token is for all of a registry",
    (
        "Key",
        "TheAccountDecides",
    ): "a key's own policy is about that key only, and without it no administrator could change it",
    ("Key", "OnlyThinkOpensTenantsKeys"): "a key's own policy speaks of that key only",
    ("DoorsRole", "SendsMail"): "SES's sandbox asks for the recipient's identity too; a condition names the sender",
    ("NotifyRole", "SendsMail"): "the same statement",
}
#: AWS's managed policies that we attach: they are for a whole region.
OF_AWS: Final = {"ApiLogsRole": "${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"}


# -- permissions -------------------------------------------------------------------------------------------------


def test_no_role_may_do_everything() -> None:
    wide = [
        (name, statement.get("Sid"), action)
        for name, statement in statements()
        for action in actions(statement)
        if "*" in action and statement["Effect"] == "Allow" and (name, statement.get("Sid")) not in WITHOUT_A_NAME
    ]
    assert not wide


def test_statements_name_their_resources() -> None:
    nameless = {
        (name, statement.get("Sid"))
        for name, statement in statements()
        for resource in resources_of(statement)
        if _what(resource) in ("", "*") or not ("${" in _what(resource) or "starport" in resource)
    }
    assert nameless == set(WITHOUT_A_NAME)


def test_every_statement_has_an_id() -> None:
    assert not [(name, statement) for name, statement in statements() if not statement.get("Sid")]


def test_no_policy_of_awss_own_is_attached_unseen() -> None:
    attached = {
        name: as_text(policy).removeprefix("arn:")
        for name, role in of_type("AWS::IAM::Role").items()
        for policy in role.get("ManagedPolicyArns", [])
    }
    assert attached == OF_AWS


def _what(resource: str) -> str:
    """Returns an ARN without partition, service, region and account."""
    return resource.replace("::", "--").split(":", 5)[-1] if resource.startswith("arn:") else resource


#: Chalice's name → the function's logical name.
LOGICAL: Final = {
    "doors": "APIHandler",
    "think": "Think",
    "notify": "Notify",
    "reconcile": "Reconcile",
    "sweep": "Sweep",
    "task_stopped": "TaskStopped",
    "mail_event": "MailEvent",
    "overview": "Overview",
    "snapshots": "Snapshots",
    "authorizer": "Authorizer",
}
#: The IAM actions of boto3's calls with another name. Empty: Cognito needs no permission, but a password.
NEEDS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("dynamodb", "transact_write_items"): (),  # its parts need the permissions
    ("s3", "head_object"): ("s3:GetObject", "s3:ListBucket"),  # without the second, a missing object is forbidden
    ("s3", "list_objects_v2"): ("s3:ListBucket",),
    ("sesv2", "send_email"): ("ses:SendEmail", "ses:SendRawEmail"),
    ("cognito-idp", "initiate_auth"): (),
    ("cognito-idp", "respond_to_auth_challenge"): (),
    ("cognito-idp", "associate_software_token"): (),
    ("cognito-idp", "verify_software_token"): (),
}
#: Actions of no line of ours: Lambda uses them for the function, or S3 for a presigned link.
BESIDES: Final = {
    "*": {"logs:CreateLogStream", "logs:PutLogEvents"},
    "Snapshots": {"kms:GenerateDataKey", "kms:Decrypt"},
    "Think": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    "Notify": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    "Sweep": {"sqs:SendMessage"},
    "TaskStopped": {"sqs:SendMessage"},
    "MailEvent": {"sqs:SendMessage"},
}


@pytest.fixture(scope="module")
def code() -> Code:
    return Code(APPLICATION)


def handlers() -> dict[str, tuple[str, str]]:
    """Maps each function's logical name to its handler in `app.py`."""
    found = {"APIHandler": ("app", "create_app")}
    for node in ast.parse((APPLICATION / "app.py").read_text()).body:
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            assert isinstance(node, ast.FunctionDef)
            if isinstance(decorator, ast.Call):
                names = [each.value.value for each in decorator.keywords if each.arg == "name"]  # type: ignore[attr-defined]
                found.update({LOGICAL[name]: ("app", node.name) for name in names})
    return {**found, "Snapshots": ("app", "create_snapshot_app")}  # its handler hands the call to that application


def allowing() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, each) for name, each in statements() if each["Effect"] == "Allow")


def allowed(function: str) -> set[str]:
    (role, _) = of_type("AWS::Lambda::Function")[function]["Role"]["Fn::GetAtt"]
    return {action for name, each in allowing() if name == role for action in actions(each)}


def needed(code: Code, entry: tuple[str, str]) -> set[str]:
    found: set[str] = set()
    for service, operation in code.calls(entry):
        words = "".join(word.capitalize() for word in operation.removesuffix("_v2").split("_"))
        found |= set(NEEDS.get((service, operation), (f"{service}:{words}",)))
    return found


def test_every_function_of_the_application_is_in_the_template() -> None:
    assert set(handlers()) == set(of_type("AWS::Lambda::Function"))


@pytest.mark.parametrize("function", sorted(handlers()))
def test_a_function_may_do_what_its_code_does_and_no_more(code: Code, function: str) -> None:
    needs, besides = needed(code, handlers()[function]), BESIDES["*"] | BESIDES.get(function, set())
    may = allowed(function)
    assert needs <= may, f"{function} cannot: {sorted(needs - may)}"
    assert may <= needs | besides, f"{function} need not: {sorted(may - needs - besides)}"


def test_every_call_of_aws_is_reachable(code: Code) -> None:
    """An unreachable call means that the walk through the source is incomplete, and the test above too weak."""
    assert code.all_calls() <= {call for entry in handlers().values() for call in code.calls(entry)}


def test_only_think_decrypts_tenants_keys() -> None:
    may = [(name, each) for name, each in allowing() if "kms:Decrypt" in actions(each)]
    assert {name for name, _ in may} == {"ThinkRole", "SnapshotsRole"}
    for name, statement in may:
        equal = statement["Condition"]["StringEquals"]
        if name == "ThinkRole":
            assert equal == {"kms:EncryptionContext:field": "openai_key"}
            assert statement["Condition"]["Null"] == {"kms:EncryptionContext:tenant": "false"}
        else:
            assert as_text(equal["kms:ViaService"]) == "s3.${AWS::Region}.amazonaws.com"


def test_the_key_refuses_every_role_but_thinks_own_by_its_exact_name() -> None:
    """A pattern would let through any role that somebody names so."""
    (denied,) = [each for name, each in statements() if (name, each["Effect"]) == ("Key", "Deny")]
    (condition,) = [value for key, value in denied["Condition"].items() if key != "StringEquals"]
    assert list(denied["Condition"]) == ["StringEquals", "ArnNotEquals"]
    named = as_text(condition["aws:PrincipalArn"])
    assert "*" not in named and "?" not in named
    role = as_text(resources()["ThinkRole"]["Properties"]["RoleName"])
    assert named == f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{role}"
    assert "${AWS::Region}" in role, "roles are of the account: a stage of the same name may be in another region"


def test_only_snapshots_reads_and_stores_logins() -> None:
    """Who breaks into a page's function reads no login: neither the object, nor the key that it is encrypted with."""
    touch = {"s3:GetObject", "s3:PutObject", "kms:GenerateDataKey"}
    assert {name for name, each in allowing() if touch & set(actions(each))} == {"SnapshotsRole", "SnapshotsEndpoint"}
    assert not {each for each in allowed("APIHandler") if each.startswith("s3:")}


#: The first parts of partition keys that hold sign-ins.
SIGN_INS: Final = {"OPERATOR#*", "TENANT#sign-in"}


def test_only_the_doors_reach_sign_ins_in_the_table() -> None:
    use = {name for name, each in allowing() if any(action.startswith("dynamodb:") for action in actions(each))}
    kept_out = {
        name: set(each["Condition"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"])
        for name, each in statements()
        if each["Effect"] == "Deny" and actions(each) == ["dynamodb:*"]
    }
    assert use - {"DoorsRole"} == set(kept_out)
    assert all(keys >= SIGN_INS for keys in kept_out.values())
    assert kept_out["SnapshotsRole"] == kept_out["AuthorizerRole"] == {*SIGN_INS, "INVITE#*", "CHAT#*"}
    whole_table = {"${Table.Arn}", "${Table.Arn}/index/*"}
    for _, each in statements():
        if each["Effect"] == "Deny" and actions(each) == ["dynamodb:*"]:
            assert set(resources_of(each)) == whole_table


def test_a_link_to_a_login_works_in_our_network_only() -> None:
    """Functions sign each request of their own in a header: `head` of an archive goes on working outside of it."""
    (statement,) = [each for name, each in statements() if name == "BucketPolicy" and "s3:GetObject" in actions(each)]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert actions(statement) == ["s3:GetObject", "s3:GetObjectVersion"], "an upload may come from anywhere"
    assert resources_of(statement)[0].endswith("/profiles/*")
    assert statement["Condition"] == {
        "StringEquals": {"s3:authType": "REST-QUERY-STRING"},
        "StringNotEquals": {"aws:SourceVpce": {"Ref": "SnapshotsEndpoint"}},
    }
    (endpoint,) = of_type("AWS::EC2::VPCEndpoint").values()
    assert endpoint["VpcEndpointType"] == "Gateway" and endpoint["RouteTableIds"] == [{"Ref": "Routes"}]


def test_mail_may_go_to_everybody_and_comes_from_our_domain_only() -> None:
    sends = [(name, each) for name, each in statements() if "ses:SendEmail" in actions(each)]
    assert {name for name, _ in sends} == {"DoorsRole", "NotifyRole"}
    for _, statement in sends:
        to = {each.rpartition("${AWS::AccountId}:")[2] for each in resources_of(statement)}
        assert to == {"identity/*", "configuration-set/${AWS::StackName}"}
        (address,) = statement["Condition"]["StringLike"].values()
        assert list(statement["Condition"]["StringLike"]) == ["ses:FromAddress"]
        assert as_text(address) == "*@${Domain}"
        assert address["Fn::Sub"][1]["Domain"]["Fn::Select"][1]["Fn::Split"][1] == {
            "Fn::Select": [1, {"Fn::Split": ["@", {"Ref": "MailFrom"}]}]
        }


def test_a_runner_has_no_credentials_of_aws() -> None:
    (task,) = of_type("AWS::ECS::TaskDefinition").values()
    assert "TaskRoleArn" not in task
    assert "RUNNER_BOOTSTRAP_TOKEN" not in {each["Name"] for each in task["ContainerDefinitions"][0]["Environment"]}


# -- dependencies ------------------------------------------------------------------------------------------------


def test_the_template_has_no_cycle() -> None:
    graph = {name: final_template.dependencies(resource, set(resources())) for name, resource in resources().items()}
    assert graph["RunnerTask"] >= {"RestAPI", "RestAPIapiStage"}, "a runner needs the API to register"
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def environments() -> dict[str, dict[str, Any]]:
    return {name: each["Environment"]["Variables"] for name, each in of_type("AWS::Lambda::Function").items()}


def test_functions_get_names_and_no_references() -> None:
    settled = set(final_template.packaged()["Parameters"])
    for name, variables in environments().items():
        mentioned = final_template.dependencies({"Properties": variables}, set(resources()))
        assert not mentioned, name
        for variable, value in variables.items():
            (kind,) = value
            assert kind in ("Ref", "Fn::Sub"), variable
            assert kind == "Fn::Sub" or value["Ref"] in settled, variable


#: Variables that the application reads and that AWS does not set.
NOT_TOLD: Final = {
    "BACKUP_STATE_PARAMETER": "nothing of the stage makes backups: DynamoDB and S3 keep their own",
    "AWS_REGION": "Lambda sets it",
    "SETUP_ADVICE": "advice for a stage is in the application; one machine has other commands",
    "ALLOW_LOCAL_LINKS": "only where the reader sits at this very machine",
}


def test_functions_get_exactly_the_variables_that_the_application_reads() -> None:
    read = set()
    modules = [APPLICATION / "chalicelib" / f"{name}.py" for name in ("installation", "wiring")]
    for node in (node for module in modules for node in ast.walk(ast.parse(module.read_text()))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("self._required", "self._environment.get"):
            read |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
    assert read - set(NOT_TOLD) == set(environments()["APIHandler"])
    for name, variables in environments().items():
        assert variables == environments()["APIHandler"], name


def test_resources_exist_under_the_names_that_functions_get() -> None:
    variables = {name: as_text(value) for name, value in environments()["APIHandler"].items()}
    declared = {
        "TABLE_NAME": resources()["Table"]["Properties"]["TableName"],
        "BUCKET_NAME": resources()["Bucket"]["Properties"]["BucketName"],
        "JOBS_QUEUE_NAME": resources()["JobsQueue"]["Properties"]["QueueName"],
        "NOTICES_QUEUE_NAME": resources()["NoticesQueue"]["Properties"]["QueueName"],
        "KMS_KEY_ID": resources()["KeyAlias"]["Properties"]["AliasName"],
        "MAIL_CONFIGURATION_SET": resources()["MailConfigurationSet"]["Properties"]["Name"],
        "COGNITO_CLIENT_PARAMETER": resources()["UserPoolClientParameter"]["Properties"]["Name"],
        "BASE_URL_PARAMETER": resources()["PublicBaseUrlParameter"]["Properties"]["Name"],
        "ECS_CLUSTER": resources()["RunnerCluster"]["Properties"]["ClusterName"],
        "ECS_SERVICE": resources()["RunnerService"]["Properties"]["ServiceName"],
    }
    assert {name: variables[name] for name in declared} == {name: as_text(value) for name, value in declared.items()}
    token = resources()["RunnerTask"]["Properties"]["ContainerDefinitions"][0]["Secrets"][0]
    assert as_text(token["ValueFrom"]).endswith(f":parameter{variables['RUNNER_TOKEN_PARAMETER']}")


#: Conditions of the runners' template, and the parameter of each.
ON: Final = {"OnSpot": "RunnersOnSpot", "OnArm": "Architecture"}


def test_everything_that_replaces_a_runners_task_changes_its_image_value() -> None:
    """ECS waits for protected tasks, and `reconcile` drains only those of another release."""
    task, service = resources()["RunnerTask"], resources()["RunnerService"]
    environment = {each["Name"]: each["Value"] for each in task["Properties"]["ContainerDefinitions"][0]["Environment"]}
    release = as_text(environment["IMAGE"])
    assert as_text(environments()["APIHandler"]["RUNNER_RELEASE"]) == release
    refers = json.dumps([task, service["Properties"]["CapacityProviderStrategy"]])
    for name in final_template.packaged()["Parameters"]:
        conditions = [condition for condition, parameter in ON.items() if parameter == name]
        if f'"Ref": "{name}"' in refers or any(f'"Fn::If": ["{condition}"' in refers for condition in conditions):
            assert f"${{{name}}}" in release, name
    image = "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/answerline-12345678901234567890-runner@sha256:" + "0" * 64
    longest = f"{image} x86_64 25 16384 122880 false"
    assert SyncRequest(sequence=1, capacity=1, image=longest).image == longest


# -- logs, retries, retention ------------------------------------------------------------------------------------


def test_the_api_logs_no_path_no_query_and_no_address() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    (deployment,) = of_type("AWS::ApiGateway::Deployment").values()
    assert "StageName" not in deployment, "Serverless would make another stage, without our limits and log"
    fields = json.loads(stage["AccessLogSetting"]["Format"])
    assert set(fields.values()) <= {
        *("$context.requestId", "$context.httpMethod", "$context.resourcePath", "$context.status"),
        *("$context.responseLength", "$context.responseLatency", "$context.integrationLatency"),
        "$context.error.responseType",
    }
    for methods in stage["MethodSettings"]:
        assert (methods["LoggingLevel"], methods["DataTraceEnabled"]) == ("OFF", False)


# -- strangers and runners ---------------------------------------------------------------------------------------


def paths() -> dict[str, dict[str, Any]]:
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    return dict(api["Body"]["paths"])


def routes_of_runners() -> set[str]:
    return {path for application in (app.app, app.snapshot_app) for path in application.routes if "/runner/" in path}


def test_each_call_of_runners_asks_the_authorizer_and_no_page_does() -> None:
    guarded = {path for path, methods in paths().items() for each in methods.values() if each.get("security")}
    assert guarded == routes_of_runners() == {path for path in paths() if path.startswith("/runner")}
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    (authorizer,) = api["Body"]["securityDefinitions"].values()
    asked = authorizer["x-amazon-apigateway-authorizer"]
    assert (asked["type"], authorizer["name"], authorizer["in"]) == ("token", "Authorization", "header")
    assert as_text(asked["authorizerUri"]).endswith("functions/${Authorizer.Arn}/invocations")
    assert timedelta(seconds=asked["authorizerResultTtlInSeconds"]) < LEASE


def test_api_gateway_and_the_firewall_know_a_runners_token_as_the_application_does() -> None:
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    (authorizer,) = api["Body"]["securityDefinitions"].values()
    expression = authorizer["x-amazon-apigateway-authorizer"]["identityValidationExpression"]
    (firewall,) = of_type("AWS::WAFv2::WebACL").values()
    (allowed_only,) = [rule for rule in firewall["Rules"] if rule["Name"] == "no-runner-calls-so"]
    inner = allowed_only["Statement"]["AndStatement"]["Statements"][1]["NotStatement"]["Statement"]
    assert expression == inner["RegexMatchStatement"]["RegexString"] == runner_authorizer.IDENTITY
    assert len(expression) <= 512, "AWS WAF takes no more"


def test_a_refused_token_is_answered_as_the_endpoints_answer_it() -> None:
    """A runner that is told so registers again; of API Gateway's own 403 it believes that it passes."""
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    denied = api["Body"]["x-amazon-apigateway-gateway-responses"]["ACCESS_DENIED"]
    refusal = Refusal.model_validate_json(denied["responseTemplates"]["application/json"])
    assert (denied["statusCode"], refusal.code) == (str(Unauthorised.status), Unauthorised.code)


def test_calls_about_snapshots_lead_to_their_own_function() -> None:
    for path, methods in paths().items():
        for each in methods.values():
            integration = each["x-amazon-apigateway-integration"]
            to = "Snapshots" if path in app.snapshot_app.routes else "APIHandler"
            assert as_text(integration["uri"]).endswith(f"functions/${{{to}.Arn}}/invocations"), path
    declared = [paths()[path]["post"] for path in ("/runner/sync", "/runner/snapshots/upload")]
    for each in declared:
        each["x-amazon-apigateway-integration"] = {**each["x-amazon-apigateway-integration"], "uri": ""}
    assert declared[0] == declared[1], "as Chalice declares the others"


#: Requests a second: the account's quota for all of its APIs in a region.
OF_THE_ACCOUNT: Final = 10_000


def test_strangers_at_the_pages_leave_the_runners_their_share() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    rates = {each["ResourcePath"]: each["ThrottlingRateLimit"] for each in stage["MethodSettings"]}
    assert {path.replace("~1", "/").removeprefix("/") for path in rates if path != "/*"} == routes_of_runners()
    assert all(re.fullmatch(r"/(~1[a-z]+)+", path) for path in rates if path != "/*"), "as API Gateway writes a path"
    pages = sum(len(methods) for path, methods in paths().items() if path not in routes_of_runners())
    assert pages * rates["/*"] <= OF_THE_ACCOUNT / 2
    # 2,000 lines on 250 runners: each syncs every 3 s and holds a call for the bell.
    assert min(rates["/~1runner~1sync"], rates["/~1runner~1bell"]) >= 10 * 250 / (NEXT_CALL_MS / 1000)


def test_the_firewall_counts_runners_calls_apart() -> None:
    (firewall,) = of_type("AWS::WAFv2::WebACL").values()
    rules = {rule["Name"]: rule for rule in firewall["Rules"]}
    assert sorted(rule["Priority"] for rule in rules.values()) == list(range(len(rules)))
    runners = rules["too-many-runners-calls-from-one-address"]["Statement"]["RateBasedStatement"]
    pages = rules["too-many-from-one-address"]["Statement"]["RateBasedStatement"]
    assert pages["ScopeDownStatement"] == {"NotStatement": {"Statement": runners["ScopeDownStatement"]}}
    (path,) = [runners["ScopeDownStatement"]["RegexMatchStatement"]["RegexString"]]
    for route in routes_of_runners():
        assert re.search(path, route) and re.search(path, f"/api{route}")
    assert not any(re.search(path, f"/api{each}") for each in paths() if each not in routes_of_runners())
    assert runners["Limit"] == {"Ref": "WafRunnerRequestsPer5Minutes"}
    several = final_template.packaged()["Parameters"]["WafRunnerRequestsPer5Minutes"]["Default"]
    assert several >= 50 * RUNNER_NEEDS >= 50 * 300 / (NEXT_CALL_MS / 1000), "50 idle runners behind one address"


def test_the_api_has_one_name_which_its_metrics_carry() -> None:
    (api,) = of_type("AWS::ApiGateway::RestApi").values()
    watched = resources()["ApiFails"]["Properties"]["Dimensions"]
    assert api["Name"] == api["Body"]["info"]["title"] == {"Fn::Sub": "${AWS::StackName}"}
    assert watched == [{"Name": "ApiName", "Value": api["Name"]}]


def test_no_sample_of_a_request_is_kept() -> None:
    (firewall,) = of_type("AWS::WAFv2::WebACL").values()
    seen = [firewall["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in firewall["Rules"])]
    assert not any(each["SampledRequestsEnabled"] for each in seen)


def test_every_function_has_a_log_of_its_own_with_a_retention() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    logs = {name: each["LoggingConfig"]["LogGroup"]["Ref"] for name, each in of_type("AWS::Lambda::Function").items()}
    assert len(set(logs.values())) == len(logs)
    assert {each["RetentionInDays"]["Ref"] for each in groups.values()} == {"LogRetentionDays"}
    for name, log in logs.items():
        (role, _) = of_type("AWS::Lambda::Function")[name]["Role"]["Fn::GetAtt"]
        written = [
            resource
            for owner, each in statements()
            if owner == role and "logs:PutLogEvents" in actions(each)
            for resource in resources_of(each)
        ]
        assert written == [f"${{{log}.Arn}}"], name


def test_ses_publishes_bounces_under_event_types_that_cloudformation_always_took() -> None:
    """CloudFormation refused capital letters until 2025: aws-cloudformation/cloudformation-coverage-roadmap#2130."""
    (destination,) = of_type("AWS::SES::ConfigurationSetEventDestination").values()
    types = destination["EventDestination"]["MatchingEventTypes"]
    assert types == ["bounce", "complaint", "reject", "renderingFailure"]


def test_events_that_fail_for_good_become_dead_letters() -> None:
    configured = {each["FunctionName"]["Ref"]: each for each in of_type("AWS::Lambda::EventInvokeConfig").values()}
    started_by_events = {
        permission["FunctionName"]["Ref"]
        for permission in of_type("AWS::Lambda::Permission").values()
        if permission["Principal"] == "events.amazonaws.com"
    }
    assert set(configured) >= started_by_events >= {"Reconcile", "Sweep", "TaskStopped"}
    for name in started_by_events - {"Reconcile"}:  # runs again within the minute
        dead = configured[name]["DestinationConfig"]["OnFailure"]["Destination"]
        assert as_text(dead) == "${DeadEventsQueue.Arn}"
    assert resources()["JobsQueue"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]


def test_a_deleted_stack_retains_its_data_and_the_mail_identity() -> None:
    for name in ("Table", "Bucket", "Key", "UserPool", "MailSender"):
        assert resources()[name]["DeletionPolicy"] == resources()[name]["UpdateReplacePolicy"] == "Retain"
    table = resources()["Table"]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True


def test_only_think_may_start_itself_in_a_loop() -> None:
    """Lambda ends a chain of 17 through one queue without a line in any log."""
    functions = of_type("AWS::Lambda::Function")
    starts_itself = {
        name
        for name, each in functions.items()
        if _queues(each["Role"], "sqs:ReceiveMessage") & _queues(each["Role"], "sqs:SendMessage")
    }
    assert starts_itself == {"Think"}
    allowed = {name: each["RecursiveLoop"] for name, each in functions.items() if "RecursiveLoop" in each}
    assert allowed == dict.fromkeys(starts_itself, "Allow")


def test_each_trigger_takes_from_a_queue_of_this_stack_that_its_role_may_read() -> None:
    """Chalice needs the names while it packages: one that it does not get leads to a queue that nobody creates."""
    queues = {as_text(each["QueueName"]): f"${{{name}.Arn}}" for name, each in of_type("AWS::SQS::Queue").items()}
    for name, trigger in of_type("AWS::Lambda::EventSourceMapping").items():
        queue = as_text(trigger["EventSourceArn"]).rpartition("${AWS::AccountId}:")[2]
        assert queue in queues, name
        role = of_type("AWS::Lambda::Function")[trigger["FunctionName"]["Ref"]]["Role"]
        assert _queues(role, "sqs:ReceiveMessage") == {queues[queue]}


def _queues(role: dict[str, Any], action: str) -> set[str]:
    """Returns the queues that this role may use so."""
    (name, _) = role["Fn::GetAtt"]
    return {
        to for owner, each in statements() if owner == name and action in actions(each) for to in resources_of(each)
    }


def test_a_burst_of_checks_waits_in_the_queue_and_leaves_concurrency_to_the_doors() -> None:
    triggers = {each["FunctionName"]["Ref"]: each for each in of_type("AWS::Lambda::EventSourceMapping").values()}
    assert set(triggers) == {"Think", "Notify"}
    assert triggers["Notify"]["ScalingConfig"] == {"MaximumConcurrency": 5}
    trigger = triggers["Think"]
    given, decided = {"Ref": "ThinkAtOnceGiven"}, {"Ref": "ThinkAtOnce"}
    assert trigger["ScalingConfig"] == {"MaximumConcurrency": {"Fn::If": ["ThinkAtOnceIsGiven", given, decided]}}
    at_once = final_template.packaged()["Parameters"]["ThinkAtOnce"]
    assert at_once["MinValue"] == 2, "SQS takes no less"
    assert "ReservedConcurrentExecutions" not in of_type("AWS::Lambda::Function")["Think"]


def test_runners_are_in_the_chosen_zones_or_the_first_two() -> None:
    assert final_template.packaged()["Conditions"]["ZonesAreChosen"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "RunnerZoneA"}, ""]}]
    }
    subnets = of_type("AWS::EC2::Subnet")
    for number, letter in enumerate("AB"):
        before = {"Fn::Select": [number, {"Fn::GetAZs": ""}]}
        zone = {"Fn::If": ["ZonesAreChosen", {"Ref": f"RunnerZone{letter}"}, before]}
        assert subnets[f"Subnet{letter}"]["AvailabilityZone"] == zone


def test_only_stopped_runners_of_this_stack_start_the_function() -> None:
    (rule,) = [each for each in of_type("AWS::Events::Rule").values() if "aws.ecs" in str(each.get("EventPattern"))]
    assert rule["EventPattern"]["detail"] == {
        "lastStatus": ["STOPPED"],
        "clusterArn": [{"Fn::GetAtt": ["RunnerCluster", "Arn"]}],
    }


def test_a_sign_in_cookie_lives_as_long_as_cognitos_session() -> None:
    (client,) = of_type("AWS::Cognito::UserPoolClient").values()
    assert timedelta(minutes=client["AuthSessionValidity"]) == STEP_KEPT_FOR


# -- runners -----------------------------------------------------------------------------------------------------


def test_a_runner_can_write_only_under_tmp_and_has_time_to_drain() -> None:
    (task,) = of_type("AWS::ECS::TaskDefinition").values()
    (container,) = task["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]
    assert container["StopTimeout"] == 120
    assert container["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert task["RuntimePlatform"]["CpuArchitecture"] == {"Fn::If": ["OnArm", "ARM64", "X86_64"]}


def test_a_deployment_starts_new_runners_first_and_never_resets_their_number() -> None:
    (service,) = of_type("AWS::ECS::Service").values()
    assert "DesiredCount" not in service
    rolling = service["DeploymentConfiguration"]
    assert (rolling["MinimumHealthyPercent"], rolling["MaximumPercent"]) == (100, 200)
    assert rolling["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


def test_runners_change_to_and_from_spot_with_a_forced_deployment() -> None:
    (service,) = of_type("AWS::ECS::Service").values()
    assert service["CapacityProviderStrategy"][0]["CapacityProvider"] == {
        "Fn::If": ["OnSpot", "FARGATE_SPOT", "FARGATE"]
    }
    assert service["ForceNewDeployment"] == {
        "EnableForceNewDeployment": True,
        "ForceNewDeploymentNonce": {"Fn::If": ["OnSpot", "spot", "on-demand"]},
    }


def test_runners_open_tls_connections_and_accept_none() -> None:
    (doors,) = of_type("AWS::EC2::SecurityGroup").values()
    assert doors["SecurityGroupIngress"] == []
    assert [(each["FromPort"], each["ToPort"]) for each in doors["SecurityGroupEgress"]] == [(443, 443)]
    assert not of_type("AWS::EC2::NatGateway")
