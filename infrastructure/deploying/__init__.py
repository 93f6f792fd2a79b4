"""Deployment of a checkout to a stage on AWS: what is decided here, and in ``aws/`` the calls, one file a service.

The command and its verbs

======================  ===============================================================================
``__main__``            the command: `python -m infrastructure.deploying VERB`
``deployment``          the order of a deployment
``rollback``            an earlier release again
``teardown``            the end of a stage, with or without its data
``token_rotation``      a new bootstrap token for runners
======================  ===============================================================================

What they decide from

======================  ===============================================================================
``settings``            the operator's settings, `make deploy NAME=value`
``parameters``          the stack parameters: decided, else given now, else remembered by the stage
``decisions``           the stack parameters that a deployment decides by itself
``prerequisites``       the checks before anything is built
``build_machine``       the checks of this machine: Python 3.13, a container builder
``stateful_resources``  the resources that hold data, and the changes that would lose it
``readiness``           the health check from outside: does the new version answer?
``context``             the account, the checkout, the operator's terminal and the clock
======================  ===============================================================================

What they ask of AWS, in ``aws/``, which imports nothing of the above

======================  ===============================================================================
``account``             STS and the clients: the account and region of every other call
``stack``               CloudFormation: proposes, applies, waits
``changes``             CloudFormation: a change set as people read it, a failure explained
``artifacts``           S3: the deploy bucket with packages, templates and releases
``images``              ECR: the runners' image
``bootstrap_token``     SSM: the secret with which runners register
``operators_webhook``   SSM: the address at which operators are notified besides mail
``public_address``      SSM: the address that links carry
``operators``           Cognito: the first operator
``sender``              SES: the identity that mails are sent as
``runners``             DynamoDB: the commits of the stage's runners
``quotas``              Service Quotas and Lambda: the account's limits
``availability_zones``  EC2: the zones for runners
``hosted_zones``        Route 53: the zone of a domain
``api_logs``            API Gateway: the account's role for logs
``service_role``        IAM: the role of ECS
======================  ===============================================================================
"""


class CannotDeploy(Exception):
    """A deployment that cannot begin or go on; the message says what the operator must do."""
