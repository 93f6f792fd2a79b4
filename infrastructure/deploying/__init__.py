"""What stands between a checkout and a stage that runs: one file per outside thing, nothing global, nothing read twice.

=================  ====================================================================================
``account``        the AWS account and region everything else talks to
``settings``       what `make deploy NAME=…` was told, and what the stage remembers as stack parameters
``parameters``     the stack parameters of one deployment: decided, else given now, else remembered
``workplace``      this machine: Python 3.13, a container builder
``sender``         SES: may we write as this address?
``quotas``         how much of Fargate and Lambda this account may use
``zones``          EC2: the availability zones in which this account may have runners
``domains``        Route 53: the zone of a domain
``api_logs``       API Gateway: is the account's role for logs there already?
``service_role``   IAM: the role by which ECS works
``images``         ECR: the runners' image
``artifacts``      the deploy bucket: packages, templates, releases, and what a destroyed stage left behind
``decisions``      the stack parameters that a deployment decides by itself
``stack``          CloudFormation: propose, apply, wait
``changes``        a proposed change as people read it, and what of it is refused
``secret``         the runners' bootstrap token
``rotation``       a new bootstrap token in place of one that somebody may know
``operators``      Cognito: who signs in first
``arrival``        is the new version there, seen from outside?
``removal``        taking a stage away, with or without its data
``deployment``     the order of all this
=================  ====================================================================================
"""


class CannotDeploy(Exception):
    """Sentences that say what to do; nothing else needs to be printed."""
